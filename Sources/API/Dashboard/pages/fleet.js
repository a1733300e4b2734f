import { h, replace, text, Keyed, color } from "../parts/dom.js";
import { get } from "../parts/api.js";
import { live } from "../parts/live.js";
import { at, count, hour, money, moment, percent, plural, signed, duration, words } from "../parts/format.js";
import {
  choices,
  empty,
  failure,
  head,
  load,
  section,
  select,
  Stat,
  stats,
  throttle,
  VirtualList,
} from "../parts/ui.js";
import { heatNames, twinLink, twinRow, units } from "../parts/twinbits.js";

const rankedMax = 500;
const feedMax = 14;

/** The fleet: who is at risk, where, and what it costs. */
export async function fleet({ root, signal, query }) {
  const page = new FleetPage(signal, Number(query.get("horizon")) || 1800);
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class FleetPage {
  constructor(signal, horizon) {
    Object.assign(this, { signal, horizon, type: "locality", place: null, part: "", isAll: false, all: [] });
  }

  async read() {
    const { horizon, type } = this;
    const report = await get(
      "/v1/fleet",
      { horizonSeconds: horizon, localityType: type, limit: rankedMax },
      this.signal,
    );
    this.types ??= (await get("/v1/localities", {}, this.signal)).types;
    this.report = report;
  }

  show(root) {
    this.title = h("span");
    this.lead = h("span");
    this.figures = {
      risk: new Stat("Short of capacity", "Twins whose forecast demand exceeds the ready capacity"),
      approval: new Stat("Wait for approval"),
      flight: new Stat("Actions in flight"),
      trust: new Stat("Distrusted", "Twins whose forecasts missed; the reactive rule leads until they are retrained"),
      stale: new Stat("Without fresh data"),
      cost: new Stat("Cost per hour", "Of the ready units whose price is declared"),
      saved: new Stat("Saved per hour", "What the reactive rule would want right now, less what is ready"),
    };
    this.list = new VirtualList({
      label: "Twins",
      rowHeight: 48,
      key: (line) => line.resource,
      create: twinRow,
      onEnd: () => this.more(),
    });
    this.listPlace = h("div");
    this.heatPlace = h("div", { class: "heat" });
    this.heatTiles = new Keyed(
      this.heatPlace,
      (one) => String(one.value),
      (one) => this.tile(one),
    );
    this.first = firstSteps();
    this.feed = h("ol", { class: "feed" });
    replace(
      root,
      head(
        this.title,
        this.lead,
        choices(
          "How far ahead",
          [
            ["1800", "30 min"],
            ["3600", "1 h"],
            ["21600", "6 h"],
          ],
          String(this.horizon),
          (value) => {
            this.horizon = Number(value);
            this.refresh();
          },
        ),
      ),
      stats(...Object.values(this.figures)),
      this.first,
      h(
        "div",
        { class: "columns" },
        section(
          "Twins",
          { controls: this.controls() },
          h(
            "div",
            { class: "risk-head", "aria-hidden": "true" },
            ["Twin", "Highest use of what is ready", "When", "Units", "State", "Per hour"].map((name, index) =>
              h("span", { class: index === 5 ? "num" : "" }, name),
            ),
          ),
          this.listPlace,
        ),
        h(
          "div",
          { class: "stack" },
          section("Heat", { controls: this.typeControl() }, this.heatPlace, this.legend()),
          section("What just happened", {}, this.feed),
        ),
      ),
    );
    this.draw();
    this.readFeed();
    // A large fleet costs the server more to sum up, so it is asked less often.
    this.refresh = throttle(
      () => this.again(),
      () => 1500 + this.report.resources / 2,
      this.signal,
    );
    live.on("fleet", () => this.refresh(), this.signal);
    for (const name of ["action", "drift", "event"]) live.on(name, (data) => this.heard(name, data), this.signal);
    addEventListener("themechange", () => this.draw(), { signal: this.signal });
  }

  async again() {
    await this.read();
    if (!this.signal.aborted) this.draw();
  }

  controls() {
    return [
      h("input", {
        type: "search",
        placeholder: "Filter by name",
        "aria-label": "Filter by name",
        oninput: (event) => {
          this.part = event.target.value.trim();
          if (this.isAll) this.restart();
          else this.draw();
        },
      }),
      choices(
        "Order",
        [
          ["risk", "By risk"],
          ["all", "All, by name"],
        ],
        "risk",
        (value) => {
          this.isAll = value === "all";
          if (this.isAll) this.restart();
          else this.draw();
        },
      ),
    ];
  }

  typeControl() {
    if (this.types.length < 2) return null;
    return select(
      this.types.map(({ type }) => [type, words(type)]),
      this.type,
      (type) => {
        Object.assign(this, { type, place: null });
        this.refresh();
      },
      "Grouped by",
    );
  }

  legend() {
    return h(
      "p",
      { class: "legend heat-legend" },
      heatNames.map((name, index) => h("span", null, h("i", { class: `key k${index}` }), name)),
    );
  }

  draw() {
    const { report, figures } = this;
    text(
      this.title,
      report.resources === 0
        ? "No twins yet"
        : report.atRisk === 0
          ? `All ${count(report.resources)} twins fit for the next ${duration(report.horizonSeconds)}`
          : `${count(report.atRisk)} of ${plural(report.resources, "twin")} may run short within ${duration(report.horizonSeconds)}`,
    );
    this.first.hidden = report.resources > 0;
    text(
      this.lead,
      report.time ? `As of ${moment(report.time)}` : "Send telemetry, and twins appear here by themselves.",
    );
    figures.risk.set(count(report.atRisk), `of ${count(report.resources)}`, report.atRisk > 0 ? "danger" : "");
    figures.approval.set(count(report.proposals), "", report.proposals > 0 ? "warn" : "");
    figures.flight.set(count(report.inFlight));
    figures.trust.set(count(report.distrusted), "", report.distrusted > 0 ? "warn" : "");
    figures.stale.set(count(report.stale), "", report.stale > 0 ? "warn" : "");
    figures.cost.set(money(report.pricePerHour));
    const { savedPerHour: saved, pricePerHour: price } = report;
    figures.saved.set(
      signed(saved, money),
      saved && price ? `${signed(saved / (price + saved), percent)} against reactive` : "",
      saved > 0 ? "ok" : "",
    );
    this.heatTiles.update(report.localities);
    this.drawList();
  }

  drawList() {
    let lines = this.isAll ? this.all : this.report.ranked;
    if (!this.isAll) {
      if (this.place !== null) lines = lines.filter((line) => this.placeOf(line) === this.place);
      const part = this.part.toLowerCase();
      if (part) lines = lines.filter((line) => line.resource.toLowerCase().includes(part));
      lines = this.held(lines);
    }
    if (lines.length === 0) {
      replace(
        this.listPlace,
        this.part || this.place !== null
          ? empty("Nothing matches", "Change the filter.")
          : empty("No risk can be told yet", "A risk needs a forecast and a policy that says what one unit carries."),
      );
      return;
    }
    if (this.list.node.parentNode !== this.listPlace) replace(this.listPlace, this.list.node);
    this.list.update(lines, this.isAll ? this.total : lines.length);
  }

  /** Rows keep their order while somebody points at them. */
  held(lines) {
    const isBusy = this.list.node.matches(":hover, :focus-within");
    if (!isBusy || !this.order) {
      this.order = new Map(lines.map((line, index) => [line.resource, index]));
      return lines;
    }
    return [...lines].sort((a, b) => (this.order.get(a.resource) ?? 1e9) - (this.order.get(b.resource) ?? 1e9));
  }

  placeOf(line) {
    return this.type === "locality" ? line.locality : (line.tags[this.type] ?? null);
  }

  // MARK: all twins, page by page

  async restart() {
    Object.assign(this, { all: [], next: "", total: 0 });
    replace(this.listPlace);
    await this.more();
  }

  async more() {
    if (!this.isAll || this.next === null || this.isReading) return;
    this.isReading = true;
    try {
      const filter = this.place === null ? {} : { localityType: this.type, localityValue: this.place };
      const page = await get("/v1/twins", { limit: 200, cursor: this.next, q: this.part, ...filter }, this.signal);
      Object.assign(this, { all: [...this.all, ...page.items], next: page.next, total: page.total });
      this.isReading = false;
      this.drawList();
    } catch (error) {
      this.isReading = false;
      if (error.name !== "AbortError")
        replace(
          this.listPlace,
          failure(error, () => this.restart()),
        );
    }
  }

  // MARK: heat

  tile(one) {
    const name = h("span");
    const use = h("span");
    const canvas = h("canvas", { "aria-hidden": "true" });
    const note = h("small");
    const node = h(
      "button",
      {
        class: "tile",
        type: "button",
        onclick: () => {
          this.place = this.place === one.value ? null : one.value;
          if (this.isAll) this.restart();
          this.draw();
        },
      },
      h("span", { class: "tile-head" }, name, use),
      canvas,
      note,
    );
    return {
      node,
      update: (heat) => {
        text(name, heat.value ?? "unknown");
        text(use, percent(heat.utilisation));
        text(note, `${plural(heat.resources, "twin")}${heat.atRisk ? `, ${count(heat.atRisk)} short` : ""}`);
        node.setAttribute("aria-pressed", String(this.place === heat.value));
        requestAnimationFrame(() => this.drawCells(canvas, heat.heat));
      },
    };
  }

  /** A square per twin, the hottest first; of many twins one for several. */
  drawCells(canvas, steps) {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (width === 0) return;
    const scale = devicePixelRatio || 1;
    const twins = steps.reduce((sum, one) => sum + one, 0);
    let size = 18;
    const room = () => Math.floor(width / size) * Math.floor(height / size);
    while (size > 6 && room() < twins) size -= 1;
    const columns = Math.floor(width / size);
    const share = Math.min(1, room() / twins);
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const gap = size > 8 ? 2 : 1;
    let place = 0;
    let seen = 0;
    for (let step = 4; step >= 0; step -= 1) {
      pen.fillStyle = color(`--heat-${step}`);
      // Whoever falls short is seen, however few they are.
      seen += steps[step] * share;
      const end = Math.max(Math.round(seen), step === 4 && steps[4] > 0 ? 1 : 0);
      for (; place < end; place += 1) {
        pen.beginPath();
        pen.roundRect(
          (place % columns) * size,
          Math.floor(place / columns) * size,
          size - gap,
          size - gap,
          size > 8 ? 3 : 1,
        );
        pen.fill();
      }
    }
  }

  // MARK: feed

  async readFeed() {
    try {
      const [actions, drift] = await Promise.all(
        ["actions", "drift"].map((name) => get(`/v1/${name}`, { limit: feedMax }, this.signal)),
      );
      const notes = [...actions.items.map((data) => ["action", data]), ...drift.items.map((data) => ["drift", data])]
        .map(([name, data]) => note(name, data))
        .filter(Boolean);
      notes.sort((a, b) => b.time - a.time);
      replace(
        this.feed,
        notes.slice(0, feedMax).map((one) => one.node),
      );
      if (notes.length === 0) replace(this.feed, h("li", null, h("p", { class: "muted" }, "Nothing yet.")));
    } catch (error) {
      if (error.name !== "AbortError")
        replace(
          this.feed,
          failure(error, () => this.readFeed()),
        );
    }
  }

  heard(name, data) {
    if (name === "action" && data.outcomes.length > 0) return;
    const one = note(name, data);
    if (!one) return;
    this.feed.prepend(one.node);
    while (this.feed.children.length > feedMax) this.feed.lastChild.remove();
  }
}

/** What to do where there is nothing yet. */
function firstSteps() {
  const time = new Date().toISOString();
  const sample = `{"resource": "cart", "metric": "requests_per_second", "value": 120, "ts": "${time}", "locality": "web"}`;
  const lines = [
    "curl -H 'content-type: application/json'",
    `     -d '${sample}'`,
    `     ${location.origin}/v1/ingest/telemetry`,
  ];
  return section(
    "The first sample",
    { note: "Into the topic telemetry, or through this server:" },
    h("pre", { class: "command" }, lines.join(" \\\n")),
  );
}

function note(name, data) {
  const line = (time, ...parts) => ({
    time: at(time),
    node: h("li", null, h("time", { datetime: time ?? "", title: moment(time) }, hour(time)), h("p", null, parts)),
  });
  const link = (resource) => h("a", { href: twinLink(resource) }, resource);
  if (name === "action") return line(data.issued, link(data.resource), " ", units(data.from, data.to));
  if (name === "event") {
    return line(data.start, `${data.id} `, data.cancelled ? "called off" : `planned for ${data.scope.value}`);
  }
  if (!data.data) return undefined;
  const { kind, metric, resource, resources, locality } = data.data;
  const of = metric.replaceAll("_", " ");
  if (kind === "restored") return line(data.time, link(resource), ` is trusted again: ${of}`);
  if (resources > 1) return line(data.time, `${resources} of ${locality ?? "no locality"} drifted together: ${kind}`);
  return line(data.time, link(resource), ` drifted: ${kind} of ${of}`);
}
