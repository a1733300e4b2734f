import { h, replace, s } from "../parts/dom.js";
import { get, path } from "../parts/api.js";
import { live } from "../parts/live.js";
import { at, moment, number, plural, signed, unknown, when, words } from "../parts/format.js";
import { badge, columns, empty, head, load, section, select, throttle } from "../parts/ui.js";
import { twinLink } from "../parts/twinbits.js";
import { tick } from "../parts/chart.js";

const { d3 } = window;
const kinds = ["level", "trend", "variance", "season", "saturation", "anomaly", "data"];
const about = {
  level: "a lasting step",
  trend: "a new slope",
  variance: "more or less noise",
  season: "another daily shape",
  saturation: "held at a ceiling",
  anomaly: "brief, nothing is retrained",
  data: "missing or frozen telemetry, or another unit",
};
const causes = { event: "planned event", version: "release" };

const isGroup = ({ type }) => type === "io.twinscale.drift.group.v1";

function size(data) {
  if (data.kind === "data") return data.reason;
  return data.kind === "variance" ? `× ${number(data.magnitude)}` : `${signed(data.magnitude)} σ`;
}

/** Where resources left what was known of them, why, and what it cost. */
export async function drift({ root, signal }) {
  const page = new DriftPage(signal);
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class DriftPage {
  constructor(signal) {
    Object.assign(this, { signal, kind: "", resource: "", shown: 25 });
  }

  async read() {
    const ask = (more) => get(path("drift"), { resource: this.resource, limit: 400, ...more }, this.signal);
    const [found, open, restored] = await Promise.all([
      ask({ kind: this.kind }),
      ask({ open: true }),
      ask({ kind: "restored" }),
    ]);
    this.open = new Set(open.items.map((event) => event.id));
    this.restored = restored.items.sort((a, b) => at(a.time) - at(b.time));
    // The ledger is in the order of arrival, which between partitions is not that of time.
    this.items = found.items
      .filter((event) => event.data.kind !== "restored")
      .sort((a, b) => at(b.time) - at(a.time));
    this.groups = this.items.filter(isGroup);
    this.items = this.items.filter((event) => !isGroup(event));
  }

  show(root) {
    this.table = h("div", { class: "scroll" });
    this.shared = h("div", { class: "scroll" });
    this.plot = h("div", { class: "chart" });
    const change = (apply) => (value) => {
      apply(value);
      this.refresh();
    };
    replace(
      root,
      head(
        "Drift",
        "Changes in how a resource behaves, judged against a reference frozen at its last trusted fit.",
        h("input", {
          type: "search",
          placeholder: "Twin",
          "aria-label": "Twin, by its whole name",
          onchange: (event) =>
            change((value) => {
              this.resource = value;
            })(event.target.value.trim()),
        }),
        select(
          [["", "Any kind"], ...kinds.map((kind) => [kind, words(kind)])],
          "",
          change((value) => {
            this.kind = value;
          }),
          "Kind",
        ),
      ),
      section("When and where", {}, this.plot),
      section("Together", { note: "Shared causes, and what is worth an operator's time" }, this.shared),
      section("Events", {}, this.table),
    );
    this.refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.draw();
      },
      1500,
      this.signal,
    );
    live.on("drift", () => this.refresh(), this.signal);
    addEventListener("resize", () => this.drawPlot(), { signal: this.signal });
    this.draw();
  }

  draw() {
    this.drawPlot();
    replace(this.shared, this.groups.length === 0 ? empty("Nothing drifted together") : this.groupTable());
    if (this.items.length === 0) {
      replace(this.table, empty("No drift", "What resources do is what their models know."));
      return;
    }
    replace(
      this.table,
      h(
        "table",
        null,
        columns("Noticed", "Twin", "Metric", "Kind", "Size", "Since", "Cause", "Then"),
        h(
          "tbody",
          null,
          this.items.slice(0, this.shown).map((event) => this.row(event)),
        ),
      ),
      this.items.length > this.shown &&
        h(
          "button",
          {
            class: "button more",
            onclick: () => {
              this.shown += 100;
              this.draw();
            },
          },
          "Show more",
        ),
    );
  }

  row(event) {
    const { time, data } = event;
    return h(
      "tr",
      null,
      h("td", { class: "nowrap", title: moment(time) }, when(time, live.now)),
      h("td", null, h("a", { href: twinLink(data.resource) }, data.resource)),
      h("td", null, data.metric.replaceAll("_", " ")),
      h("td", null, badge(data.kind, data.distrusts ? "warn" : "plain", about[data.kind])),
      h("td", { class: "nowrap", title: `${number(data.score)} times the threshold` }, size(data)),
      h("td", { class: "nowrap", title: moment(data.since) }, when(data.since, live.now)),
      h("td", null, causes[data.explainedBy] ?? unknown),
      h("td", { class: "muted" }, this.then(event)),
    );
  }

  /** What became of a drift: open, or trusted again at what cost. */
  then({ id, time, data }) {
    if (!data.distrusts) return "watched";
    if (this.open.has(id)) return badge(data.retrainRequested ? "open, retrained" : "open, waits", "warn");
    const end = this.restored.find(
      (one) => one.data.resource === data.resource && one.data.metric === data.metric && at(one.time) >= at(time),
    );
    if (!end) return "retrained";
    return h(
      "span",
      { title: `Trusted again ${when(end.time, live.now)}; cost: errors beyond the usual, in standard deviations` },
      `trusted after ${plural(end.data.distrustedSamples, "sample")}, cost ${number(end.data.cost)} σ`,
    );
  }

  groupTable() {
    return h(
      "table",
      null,
      columns("Told", "Locality", "Resources", "Kind", "Worst", "Since", "Impact"),
      h(
        "tbody",
        null,
        this.groups.slice(0, this.shown).map(({ time, data }) =>
          h(
            "tr",
            null,
            h("td", { class: "nowrap", title: moment(time) }, when(time, live.now)),
            h("td", null, data.locality ?? unknown),
            h(
              "td",
              { title: `shared by ${data.scope}; ${plural(data.resourcesExplained, "one", "ones")} explained` },
              `${number(data.resources)} of ${number(data.resourcesKnown)}`,
            ),
            h("td", null, badge(data.kind, data.alarm ? "danger" : "plain", about[data.kind])),
            h("td", null, h("a", { href: twinLink(data.resource) }, data.resource)),
            h("td", { class: "nowrap", title: moment(data.since) }, when(data.since, live.now)),
            h("td", null, `${number(data.impact)} σ`),
          ),
        ),
      ),
    );
  }

  /** A row per resource that drifted most, a dot per event. */
  drawPlot() {
    const width = this.plot.clientWidth;
    const counts = new Map();
    for (const { data } of this.items) counts.set(data.resource, (counts.get(data.resource) ?? 0) + 1);
    const rows = [...counts]
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .slice(0, 12)
      .map(([name]) => name);
    if (rows.length === 0 || width === 0) return replace(this.plot, empty("Nothing to draw"));
    const [left, row] = [Math.min(160, width / 3), 24];
    const height = rows.length * row + 48;
    const x = d3.scaleTime(
      d3.extent(this.items, (event) => at(event.time)),
      [left + 8, width - 16],
    );
    const y = d3.scalePoint(rows, [16, 16 + (rows.length - 1) * row]);
    const axis = s("g", { class: "axis" });
    d3.select(axis)
      .attr("transform", `translate(0,${height - 24})`)
      .call(
        d3
          .axisBottom(x)
          .ticks(Math.max(3, width / 130))
          .tickFormat(tick)
          .tickSize(0)
          .tickPadding(8),
      )
      .call((some) => some.select(".domain").remove());
    replace(
      this.plot,
      s(
        "svg",
        {
          height,
          viewBox: `0 0 ${width} ${height}`,
          role: "img",
          "aria-label": `${plural(this.items.length, "drift event")} by twin over time`,
        },
        rows.map((name) => [
          s("line", { class: "row-line", x1: left, x2: width - 12, y1: y(name), y2: y(name) }),
          s(
            "text",
            { class: "row-name", x: left - 12, y: y(name) + 4, "text-anchor": "end" },
            name.length > 22 ? `${name.slice(0, 21)}…` : name,
          ),
        ]),
        this.items
          .filter((event) => rows.includes(event.data.resource))
          .map(({ time, data }) =>
            s(
              "circle",
              {
                class: `event ${data.distrusts ? "lasting" : "brief"}`,
                cx: x(at(time)),
                cy: y(data.resource),
                r: 4.5,
              },
              s("title", {}, `${when(time, live.now)} ${data.kind} of ${data.metric}`),
            ),
          ),
        axis,
      ),
      h(
        "p",
        { class: "legend" },
        h("span", null, h("i", { class: "key dot-lasting" }), "lasting: retrained"),
        h("span", null, h("i", { class: "key dot-brief" }), "brief, or missing data"),
      ),
    );
  }
}
