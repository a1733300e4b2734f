import { h, Keyed, renew, replace, text } from "../parts/dom.js";
import { get, path } from "../parts/api.js";
import { live } from "../parts/live.js";
import {
  at,
  count,
  duration,
  hour,
  moment,
  number,
  percent,
  plural,
  relative,
  unknown,
  when,
  words,
} from "../parts/format.js";
import {
  badge,
  choices,
  columns,
  empty,
  head,
  load,
  section,
  select,
  Stat,
  stats,
  throttle,
  toast,
} from "../parts/ui.js";
import { present, twinLink, twinState, units, heat } from "../parts/twinbits.js";
import { markKey, TwinChart } from "../parts/chart.js";
import { answerButtons, orderButtons } from "../parts/orders.js";

/** One twin: what was observed, what is forecast, what was decided and why. */
export async function twin({ root, params, signal, me }) {
  const [resource] = params;
  if (!resource) {
    replace(root, head("Twin", "Choose one on the fleet's page, or find it by name."));
    return;
  }
  document.title = `${resource} · Twinscale`;
  const page = new TwinPage(resource, signal, me);
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

const hours = 3_600_000;

class TwinPage {
  constructor(resource, signal, me) {
    Object.assign(this, {
      resource,
      signal,
      me,
      metric: "",
      range: 3 * hours,
      before: "",
      history: [],
      accuracy: null,
      events: [],
      past: null,
    });
  }

  url(...parts) {
    return path("twins", this.resource, ...parts);
  }

  async read() {
    const { metric, signal } = this;
    this.twin = await get(this.url(), {}, signal);
    if (this.twin.metrics.length === 0) return;
    const now = at(this.twin.time);
    const known = this.history.at(-1)?.time;
    const from = new Date(known ? known + 1 : now - this.range).toISOString();
    const asked = this.twin.decision?.data.proposal;
    const [forecast, history, events, accuracy, waiting] = await Promise.all([
      get(this.url("forecast"), { metric }, signal),
      get(this.url("history"), { metric, from }, signal),
      get(path("events"), { from: new Date(now - this.range).toISOString(), limit: 100 }, signal),
      get(this.url("accuracy"), { metric, horizonSeconds: this.before }, signal),
      asked ? get(path("proposals"), { limit: 1000 }, signal) : { items: [] },
    ]);
    this.proposal = waiting.items.some((event) => event.data.proposal === asked) ? asked : null;
    Object.assign(this, { forecast, events: events.items, accuracy });
    const last = known ?? -Infinity;
    const fresh = history.points
      .map((point) => ({ ...point, time: at(point.time) }))
      .filter((point) => point.time > last);
    this.history = [...this.history, ...fresh].filter((point) => point.time >= now - this.range);
  }

  /** Reads everything anew, for another metric or range. */
  async reload() {
    this.history = [];
    await this.read();
    if (!this.signal.aborted) this.draw();
  }

  show(root) {
    const { twin } = this;
    if (twin.metrics.length === 0) {
      replace(root, head(twin.resource), empty("No telemetry yet", "The twin is known by name only."));
      return;
    }
    this.figures = {
      level: new Stat("Demand now"),
      use: new Stat("Highest use ahead", "Within 30 minutes, of what is ready"),
      units: new Stat("Units"),
      lead: new Stat("Lead time", "From an action to ready units"),
      each: new Stat("One unit carries"),
      error: new Stat("Forecast error", "Σ|observed − forecast| ÷ Σ|observed| at the horizon compared"),
      cover: new Stat("80 % interval", "Share of observed values between the 10 % and the 90 % quantile; 80 % is right"),
    };
    this.state = h("span", { class: "tags" });
    this.chart = new TwinChart(`Demand, forecast and capacity of ${twin.resource}`, (time) => this.look(time));
    this.places = Object.fromEntries(["why", "actions", "drift", "orders"].map((name) => [name, h("div")]));
    this.beside = [neighbours("calledBy", "Called by"), neighbours("calls", "Calls")];
    this.alone = h("p", { class: "note" }, "No calls seen.");
    replace(
      root,
      head(
        twin.resource,
        this.state,
        orderButtons(twin.resource, this.me, () => this.refresh()),
      ),
      stats(...Object.values(this.figures)),
      section("Demand", { controls: this.controls() }, this.chart.node, this.legend()),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          { class: "stack" },
          section("Decision", {}, this.places.why),
          section("Actions and what they did", {}, this.places.actions),
          section("Orders", {}, this.places.orders),
        ),
        h(
          "div",
          { class: "stack" },
          section(
            "Neighbours",
            { controls: h("a", { href: `#/graph?around=${encodeURIComponent(twin.resource)}` }, "Graph") },
            this.beside.map((one) => one.node),
            this.alone,
          ),
          section("Drift", {}, this.places.drift),
        ),
      ),
    );
    this.draw();
    this.refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.draw();
      },
      1000,
      this.signal,
    );
    live.on(
      "twin",
      (line) => {
        if (line.resource === this.resource) this.refresh();
      },
      this.signal,
    );
    for (const name of ["decision", "action", "drift", "command"]) {
      live.on(
        name,
        (data) => {
          if ((data.resource ?? data.subject) === this.resource) this.refresh();
        },
        this.signal,
      );
    }
  }

  controls() {
    const { twin, accuracy } = this;
    const reload = (change) => (value) => {
      change(value);
      this.reload();
    };
    return [
      twin.metrics.length > 1 &&
        select(
          twin.metrics.map((one) => [one.metric, words(one.metric.replaceAll("_", " "))]),
          this.metric || twin.metric,
          reload((value) => {
            this.metric = value;
          }),
          "Metric",
        ),
      accuracy.horizons.length > 0 &&
        select(
          [
            ["", "Compare with …"],
            ...accuracy.horizons.map((seconds) => [String(seconds), `forecast ${duration(seconds)} before`]),
          ],
          this.before,
          reload((value) => {
            this.before = value;
          }),
          "Compare with an earlier forecast",
        ),
      choices(
        "Range",
        [
          ["1", "1 h"],
          ["3", "3 h"],
          ["12", "12 h"],
          ["24", "24 h"],
        ],
        String(this.range / hours),
        reload((value) => {
          this.range = Number(value) * hours;
        }),
      ),
    ];
  }

  /** Shows what was known at a moment of the past; of now without one. */
  async look(time) {
    if (!time) {
      this.past = null;
      return this.draw();
    }
    try {
      const past = await get(this.url(), { at: new Date(time).toISOString() }, this.signal);
      if (this.signal.aborted) return;
      this.past = { ...past, time };
      this.draw();
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message, "danger");
    }
  }

  legend() {
    const key = (style, label) => h("span", null, h("i", { class: `key ${style}` }), label);
    const mark = (kind, label) => h("span", null, markKey(kind), label);
    return h(
      "p",
      { class: "legend chart-legend" },
      key("line-level", "observed"),
      key("line-mean", "forecast"),
      key("fill-fan", "80 % interval, and up to 99 %"),
      key("line-then", "earlier forecast"),
      key("line-cap", "capacity ready"),
      key("line-ahead", "capacity ordered"),
      key("fill-short", "capacity shortfall"),
      key("fill-event", "planned event"),
      mark("up", "scaled up"),
      mark("down", "scaled down"),
      mark("drift", "drift"),
    );
  }

  draw() {
    const { twin, figures, forecast, accuracy } = this;
    const now = at(twin.time);
    const [label, tone, title] = twinState(twin);
    renew(this.state, [twin.locality, twin.class, twin.tags, twin.policy, label], () => [
      [twin.locality, twin.class].filter(Boolean).map((name) => badge(name)),
      Object.entries(twin.tags).map(([name, value]) => badge(`${name}: ${value}`)),
      twin.policy && h("a", { class: "badge", href: `#/policies/${encodeURIComponent(twin.policy)}` }, twin.policy),
      badge(label, tone, title),
    ]);
    figures.level.set(number(forecast.level), forecast.metric.replaceAll("_", " "));
    const use = twin.risk?.utilisation;
    figures.use.set(
      percent(use),
      twin.risk ? `in ${duration(twin.risk.atSeconds)}, aims at ${percent(twin.risk.target)}` : "",
      heat(use) === 4 ? "danger" : "",
    );
    replace(figures.units.value, units(twin.readyUnits, twin.desiredUnits));
    text(figures.units.note, twin.risk?.shortfall ? `${plural(twin.risk.shortfall, "unit")} short ahead` : "");
    figures.lead.set(duration(twin.leadSeconds));
    figures.each.set(number(twin.capacityPerUnit), `aims at ${percent(twin.targetUtilisation)}`);
    figures.error.set(
      percent(accuracy.weightedError, 1),
      accuracy.count ? `${duration(accuracy.horizonSeconds)} ahead` : "",
    );
    figures.cover.set(percent(accuracy.coverage80), accuracy.count ? `of ${count(accuracy.count)} fell inside` : "");
    this.drawChart(now);
    this.drawLists(now);
  }

  drawChart(now) {
    const { twin, forecast, history } = this;
    const isPrimary = forecast.metric === twin.metric;
    const all = forecast.horizons.map((one) => ({ ...one, time: now + one.horizonSeconds * 1000 }));
    const reach = Math.max(this.range / 2, 1_800_000);
    const start = { time: now, mean: forecast.level, q10: forecast.level, q90: forecast.level, q99: forecast.level };
    const horizons = [start, ...all.filter((one) => one.time <= now + reach * 1.2)];
    const to = now + Math.min(reach, Math.max((all.at(-1)?.horizonSeconds ?? 0) * 1000, 1_800_000));
    const ready = isPrimary ? forecast.capacity : null;
    const open = twin.actions.find((one) => ["pending", "accepted", "applied"].includes(one.status));
    const ahead = ready === null ? [] : [{ time: now, capacity: ready }];
    if (ready !== null && open && twin.capacityPerUnit) {
      ahead.push({
        time: Math.max(at(open.issued) + (twin.leadSeconds ?? 0) * 1000, now),
        capacity: open.to * twin.capacityPerUnit,
      });
    }
    if (ahead.length > 0) ahead.push({ time: to, capacity: ahead.at(-1).capacity });
    const expected = this.expectedThen().filter((one) => one.time <= to);
    this.chart.update({
      from: now - this.range,
      to,
      now,
      horizons,
      ahead,
      expected,
      beforeSeconds: Number(this.before),
      picked: this.past?.time,
      history: isPrimary ? history : history.map((point) => ({ ...point, capacity: null })),
      events: this.events
        .filter((one) => !one.cancelled && this.concerns(one.scope))
        .map((one) => ({
          name: one.id,
          start: at(one.start),
          end: at(one.end),
          about: `${one.kind}, × ${number(one.uplift)} planned`,
        })),
      marks: [
        ...twin.actions.map((one) => ({
          time: at(one.issued),
          kind: one.to > one.from ? "up" : "down",
          about: `${one.from} → ${one.to}. ${one.reason ?? ""}`,
        })),
        ...twin.drift.map(({ data, time }) => ({
          time: at(time),
          kind: "drift",
          about: data.kind === "restored" ? `trusted again: ${data.metric}` : `drift of ${data.kind} in ${data.metric}`,
        })),
      ],
    });
  }

  /** Earlier forecasts: all that was expected at one moment, or always as long before. */
  expectedThen() {
    if (this.past) {
      const { time } = this.past;
      const metric = this.past.metrics.find((one) => one.metric === this.forecast.metric);
      if (!metric) return [];
      const ahead = metric.forecast.filter((one) => one.mean !== null);
      return [{ horizonSeconds: 0, mean: metric.level, q10: metric.level, q90: metric.level }, ...ahead].map((one) => ({
        ...one,
        time: time + one.horizonSeconds * 1000,
      }));
    }
    return this.before ? this.accuracy.points.map((one) => ({ ...one, time: at(one.time) })) : [];
  }

  concerns(scope) {
    const { twin } = this;
    return (
      { resource: twin.resource, locality: twin.locality, class: twin.class }[scope.key] === scope.value ||
      twin.tags[scope.key] === scope.value
    );
  }

  drawLists(now) {
    const { twin, places } = this;
    const { decision } = this.past ?? twin;
    const ago = decision && `${when(decision.time, now)}, ${relative(decision.time, now)}. `;
    renew(places.why, [decision?.id, ago, this.past?.time, this.proposal], () => [
      this.past &&
        h(
          "p",
          { class: "then-head" },
          badge(`As of ${when(this.past.time, now)}`, "accent"),
          h("button", { class: "button", onclick: () => this.look(null) }, "Back to now"),
        ),
      decision
        ? [
            h("p", { class: "why" }, decision.data.reason),
            h("p", { class: "note" }, `What would change it: ${decision.data.whatWouldChange}.`),
            h(
              "p",
              { class: "small muted" },
              ago,
              h("a", { href: `#/decisions/${encodeURIComponent(decision.id)}` }, "How it came about"),
            ),
            this.proposal &&
              !this.past &&
              h(
                "div",
                { class: "controls answer" },
                h("span", null, `It waits for approval: ${present(decision.data)} → ${decision.data.desired}`),
                answerButtons(this.proposal, this.me, () => this.refresh()),
              ),
          ]
        : this.past
          ? empty("None is remembered from then")
          : empty("No decision yet", "No policy matches this twin, or it has no forecast."),
    ]);
    renew(places.actions, twin.actions, () =>
      twin.actions.length === 0 ? empty("No action yet") : actionTable(twin.actions, now),
    );
    for (const { direction, part, node } of this.beside) {
      const some = twin.neighbours.filter((one) => one.direction === direction).slice(0, 8);
      part.update(some);
      node.hidden = some.length === 0;
    }
    this.alone.hidden = twin.neighbours.length > 0;
    renew(places.drift, twin.drift, () =>
      feed(
        "It behaves as its model knows it.",
        twin.drift.map(({ data, time }) => [
          time,
          `${words(data.kind)} of ${data.metric.replaceAll("_", " ")}`,
          aftermath(data),
        ]),
      ),
    );
    renew(places.orders, twin.orders, () =>
      feed(
        "Nobody has given any.",
        twin.orders.map((order) => [
          order.time,
          `${words(order.verb)}${order.value ? ` ${order.value}` : ""}, ${order.status}`,
          order.owner ? ` by ${order.owner}` : "",
        ]),
      ),
    );
  }
}

const tones = { ready: "ok", failed: "danger", unschedulable: "danger", timeout: "warn", superseded: "plain" };

/** Actions with what was expected and what was observed. */
function actionTable(actions, now) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      null,
      columns("At", "Units", "Outcome", "Ready after", "Why"),
      h(
        "tbody",
        null,
        actions.slice(0, 12).map((action) => {
          const came = action.result?.came ?? action.result?.data?.came;
          return h(
            "tr",
            null,
            h("td", { title: moment(action.issued), class: "nowrap" }, when(action.issued, now)),
            h("td", { class: "nowrap" }, `${action.from} → ${action.to}`),
            h("td", null, badge(action.status, tones[action.status] ?? "accent")),
            h("td", { class: "nowrap" }, came ? duration(came.leadSeconds) : unknown),
            h("td", { class: "muted" }, action.reason),
          );
        }),
      ),
    ),
  );
}

/** A short list of what happened, or a word that nothing did. */
function feed(nothing, entries) {
  if (entries.length === 0) return h("p", { class: "note" }, nothing);
  return h(
    "ul",
    { class: "feed" },
    entries
      .slice(0, 6)
      .map(([time, what, more]) =>
        h(
          "li",
          null,
          h("time", { title: moment(time) }, hour(time)),
          h("p", null, what, h("span", { class: "muted" }, more)),
        ),
      ),
  );
}

/** Those who call a twin, or whom it calls, with their share of its traffic. */
function neighbours(direction, title) {
  const list = h("ul");
  const part = new Keyed(
    list,
    (one) => one.resource,
    (one) => {
      const bar = h("i", { class: "share" });
      const rate = h("span", { class: "num" });
      return {
        node: h(
          "li",
          null,
          h("a", { href: twinLink(one.resource) }, one.resource),
          h("span", { class: "share-track", "aria-hidden": "true" }, bar),
          rate,
        ),
        update: (now) => {
          bar.style.width = `${(now.share ?? 0) * 100}%`;
          text(rate, `${number(now.rate)}/s`);
        },
      };
    },
  );
  return { direction, part, node: h("div", { class: "neighbours" }, h("h3", null, title), list) };
}

/** Of a drift: what explains it and what it led to; of trust restored: what it cost; of a group: who is in it. */
function aftermath(data) {
  if (data.kind === "restored") {
    return `, trusted again after ${plural(data.distrustedSamples, "sample")}, cost ${number(data.cost)} σ`;
  }
  if (data.resources > 0) return `, ${plural(data.resources, "resource")} of ${data.locality ?? "no locality"}`;
  const cause = data.explainedBy ? `, explained by a ${data.explainedBy === "event" ? "planned event" : "release"}` : "";
  return `${cause}${data.retrainRequested ? ", retrained" : data.distrusts ? ", waits for retraining" : ""}`;
}
