import { h, replace, text } from "../parts/dom.js";
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
import { twinLink, twinState, units, heat } from "../parts/twinbits.js";
import { TwinChart } from "../parts/chart.js";
import { orderButtons } from "../parts/orders.js";

/** One twin: what came, what is expected, what was decided and why. */
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
    const [forecast, history, events, accuracy] = await Promise.all([
      get(this.url("forecast"), { metric }, signal),
      get(this.url("history"), { metric, from }, signal),
      get(path("events"), { from: new Date(now - this.range).toISOString(), limit: 100 }, signal),
      get(this.url("accuracy"), { metric, horizonSeconds: this.before }, signal),
    ]);
    Object.assign(this, { forecast, events: events.items, accuracy });
    const last = known ?? -Infinity;
    const fresh = history.points
      .map((point) => ({ ...point, time: at(point.time) }))
      .filter((point) => point.time > last);
    this.history = [...this.history, ...fresh].filter((point) => point.time >= now - this.range);
  }

  /** Reads everything anew, for another metric or range. */
  async renew() {
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
      error: new Stat("Forecast error", "Σ|came − expected| ÷ Σ|came| at the horizon compared"),
      cover: new Stat("Came as told", "Share of what came that lay between the 10 % and 90 % quantile; 80 % is right"),
    };
    this.state = h("span", { class: "tags" });
    this.chart = new TwinChart(`Demand, forecast and capacity of ${twin.resource}`, (time) => this.look(time));
    this.places = Object.fromEntries(
      ["why", "decisions", "actions", "drift", "neighbours", "orders"].map((name) => [name, h("div")]),
    );
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
            this.places.neighbours,
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
    const renew = (change) => (value) => {
      change(value);
      this.renew();
    };
    return [
      twin.metrics.length > 1 &&
        select(
          twin.metrics.map((one) => [one.metric, words(one.metric.replaceAll("_", " "))]),
          this.metric || twin.metric,
          renew((value) => {
            this.metric = value;
          }),
          "Metric",
        ),
      accuracy.horizons.length > 0 &&
        select(
          [
            ["", "Compare with …"],
            ...accuracy.horizons.map((seconds) => [String(seconds), `expected ${duration(seconds)} before`]),
          ],
          this.before,
          renew((value) => {
            this.before = value;
          }),
          "Compare with what was expected",
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
        renew((value) => {
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
    return h(
      "p",
      { class: "legend chart-legend" },
      key("line-level", "came"),
      key("line-mean", "expected"),
      key("fill-fan", "8 of 10, and 99 %"),
      key("line-cap", "capacity ready"),
      key("line-ahead", "capacity ordered"),
      key("fill-short", "does not fit"),
    );
  }

  draw() {
    const { twin, figures, forecast, accuracy } = this;
    const now = at(twin.time);
    const [label, tone, title] = twinState(twin);
    replace(
      this.state,
      [twin.locality, twin.class].filter(Boolean).map((name) => badge(name)),
      Object.entries(twin.tags).map(([name, value]) => badge(`${name}: ${value}`)),
      twin.policy && h("a", { class: "badge", href: `#/policies/${encodeURIComponent(twin.policy)}` }, twin.policy),
      badge(label, tone, title),
    );
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
    figures.cover.set(percent(accuracy.coverage80), accuracy.count ? `of ${count(accuracy.count)}; 80 % is right` : "");
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
          about: `drift of ${data.kind} in ${data.metric}`,
        })),
      ],
    });
  }

  /** What was expected before it came: all that was expected at one moment, or always as long before. */
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
    replace(
      places.why,
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
              `${when(decision.time, now)}, ${relative(decision.time, now)}. `,
              h("a", { href: `#/decisions/${encodeURIComponent(decision.id)}` }, "How it came about"),
            ),
          ]
        : this.past
          ? empty("None is remembered from then")
          : empty("No decision yet", "No policy matches this twin, or it has no forecast."),
    );
    replace(places.actions, twin.actions.length === 0 ? empty("No action yet") : actionTable(twin.actions, now));
    replace(places.neighbours, twin.neighbours.length === 0 ? empty("No calls seen") : neighbours(twin.neighbours));
    replace(
      places.drift,
      twin.drift.length === 0
        ? h("p", { class: "note" }, "It behaves as its model knows it.")
        : h(
            "ul",
            { class: "feed" },
            twin.drift
              .slice(0, 6)
              .map(({ data, time }) =>
                h(
                  "li",
                  null,
                  h("time", { title: moment(time) }, hour(time)),
                  h(
                    "p",
                    null,
                    `${words(data.kind)} of ${data.metric.replaceAll("_", " ")}`,
                    h("span", { class: "muted" }, data.retrainRequested ? ", retrained" : ""),
                  ),
                ),
              ),
          ),
    );
    replace(
      places.orders,
      twin.orders.length === 0
        ? h("p", { class: "note" }, "Nobody has given any.")
        : h(
            "ul",
            { class: "feed" },
            twin.orders
              .slice(0, 6)
              .map((order) =>
                h(
                  "li",
                  null,
                  h("time", { title: moment(order.time) }, hour(order.time)),
                  h(
                    "p",
                    null,
                    `${words(order.verb)}${order.value ? ` ${order.value}` : ""}, ${order.status}`,
                    order.owner && h("span", { class: "muted" }, ` by ${order.owner}`),
                  ),
                ),
              ),
          ),
    );
  }
}

const tones = { ready: "ok", failed: "danger", unschedulable: "danger", timeout: "warn", superseded: "plain" };

/** Actions with what was expected and what came. */
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

function neighbours(list) {
  const group = (direction, title) => {
    const some = list.filter((one) => one.direction === direction).slice(0, 8);
    return (
      some.length > 0 &&
      h(
        "div",
        { class: "neighbours" },
        h("h3", null, title),
        h(
          "ul",
          null,
          some.map((one) => {
            const bar = h("i", { class: "share" });
            bar.style.width = `${(one.share ?? 0) * 100}%`;
            return h(
              "li",
              null,
              h("a", { href: twinLink(one.resource) }, one.resource),
              h("span", { class: "share-track", "aria-hidden": "true" }, bar),
              h("span", { class: "num" }, `${number(one.rate)}/s`),
            );
          }),
        ),
      )
    );
  };
  return [group("calledBy", "Called by"), group("calls", "Calls")];
}
