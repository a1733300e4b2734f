// Time on the x axis: what was observed, what is forecast, what can be carried, and what happened.

import { h, s, replace } from "./dom.js";
import { at, duration, hour, date, moment, number, percent, relative, zone } from "./format.js";

const { d3 } = window;
const margin = { top: 18, right: 12, bottom: 40, left: 48 };
const lane = 14;

/** Index of the last point at or before a time; -1 for none. */
const before = (points, time) => d3.bisector((point) => point.time).right(points, time) - 1;

/** Ticks of time with the day named where it begins. */
export const tick = (value, index, all) => {
  const isNewDay = index > 0 && date(all[index - 1].__data__ ?? value) !== date(value);
  return isNewDay || (value.getHours() === 0 && value.getMinutes() === 0)
    ? date(value.getTime())
    : hour(value.getTime());
};

/** The axes, shared by all charts over time. */
function axes(group, x, y, width, height) {
  d3.select(group.x)
    .attr("transform", `translate(0,${height - margin.bottom + 4})`)
    .call(
      d3
        .axisBottom(x)
        .ticks(Math.max(3, width / 110))
        .tickFormat(tick)
        .tickSize(0)
        .tickPadding(8),
    )
    .call((axis) => axis.select(".domain").remove())
    .selectAll(".zone")
    .data([zone(x.domain()[1].getTime())])
    .join("text")
    .attr("class", "zone")
    .attr("x", width - margin.right)
    .attr("y", margin.bottom - 8)
    .text((name) => `times in ${name}`);
  d3.select(group.y)
    .attr("transform", `translate(${margin.left},0)`)
    .call(
      d3
        .axisLeft(y)
        .ticks(5)
        .tickFormat(number)
        .tickSize(-(width - margin.left - margin.right))
        .tickPadding(8),
    )
    .call((axis) => axis.select(".domain").remove());
}

/** The marks along the axis. */
const shapes = { up: "M-5,4 L0,-5 L5,4 Z", down: "M-5,-4 L0,5 L5,-4 Z", drift: "M0,-6 L5,0 L0,6 L-5,0 Z" };

/** A mark for a legend. */
export const markKey = (kind) =>
  s(
    "svg",
    { class: "mark-key", viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" },
    s("path", { class: `mark ${kind}`, d: shapes[kind] }),
  );

/** The main chart of a twin. */
export class TwinChart {
  /** `onPick` is told the moment of the past that somebody chose. */
  constructor(label, onPick, height = 340) {
    Object.assign(this, { height, onPick });
    this.clip = `clip-${Math.random().toString(36).slice(2)}`;
    this.groups = Object.fromEntries(
      ["bands", "y", "x", "fan", "lines", "marks", "cursor"].map((name) => [
        name,
        s("g", { class: name === "x" || name === "y" ? "axis" : `over-${name}` }),
      ]),
    );
    this.frame = s("rect", {});
    this.svg = s(
      "svg",
      { height, "aria-hidden": "true" },
      s("clipPath", { id: this.clip }, this.frame),
      Object.values(this.groups),
    );
    for (const name of ["fan", "lines"]) this.groups[name].setAttribute("clip-path", `url(#${this.clip})`);
    this.tip = h("div", { class: "tip", hidden: true, role: "status" });
    this.node = h(
      "div",
      {
        class: "chart",
        tabindex: "0",
        role: "group",
        "aria-label": `${label}; the arrow keys move along time, Enter shows what was known then`,
        onpointermove: (event) => this.point(event.clientX - this.node.getBoundingClientRect().left),
        onpointerleave: () => this.leave(),
        onblur: () => this.leave(),
        onclick: () => this.pick(),
        onkeydown: (event) => this.key(event),
      },
      this.svg,
      this.tip,
    );
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** Data: now, history, horizons, ahead (capacity to come), expected (before it came), events, marks; times in ms. */
  update(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    const { data, height, groups } = this;
    const width = this.node.clientWidth;
    if (!data || width === 0) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.x = d3.scaleTime([data.from, data.to], [margin.left, width - margin.right]);
    const top =
      d3.max([
        ...data.history.map((point) => Math.max(point.level ?? 0, point.capacity ?? 0)),
        ...data.horizons.filter((one) => one.time <= data.to).map((one) => one.q90 ?? 0),
        ...data.ahead.map((one) => one.capacity ?? 0),
      ]) || 1;
    this.y = d3.scaleLinear([0, top * 1.1], [height - margin.bottom - lane, margin.top]).nice(5);
    const { x, y } = this;
    axes(groups, x, y, width, height);
    for (const [name, value] of [
      ["x", margin.left],
      ["y", margin.top - 4],
      ["width", Math.max(0, width - margin.left - margin.right)],
      ["height", height - margin.top - margin.bottom + 4],
    ])
      this.frame.setAttribute(name, value);
    this.drawBands(x, height);
    this.drawFan(x, y);
    this.drawLines(x, y);
    this.drawMarks(x, height);
    if (this.cursor) this.move(this.cursor);
  }

  drawBands(x, height) {
    const { data } = this;
    const bands = data.events.filter((one) => one.end > data.from && one.start < data.to);
    replace(
      this.groups.bands,
      bands.map((one) => {
        const left = Math.max(x(one.start), margin.left);
        return [
          s("rect", {
            class: "event-band",
            x: left,
            y: margin.top - 4,
            width: Math.max(2, Math.min(x(one.end), x.range()[1]) - left),
            height: height - margin.top - margin.bottom + 4,
          }),
          s("text", { class: "event-name", x: left + 4, y: margin.top - 8 }, one.name),
        ];
      }),
      [data.now, data.picked].filter(Boolean).map((time) =>
        s("line", {
          class: time === data.now ? "now" : "picked",
          x1: x(time),
          x2: x(time),
          y1: margin.top,
          y2: height - margin.bottom,
        }),
      ),
    );
  }

  drawFan(x, y) {
    const { data } = this;
    const area = (low, high) =>
      d3
        .area()
        .defined((point) => point[low] !== null && point[high] !== null)
        .x((point) => x(point.time))
        .y0((point) => y(point[low]))
        .y1((point) => y(point[high]))
        .curve(d3.curveMonotoneX);
    const line = (name, curve = d3.curveMonotoneX) =>
      d3
        .line()
        .defined((point) => point[name] !== null)
        .x((point) => x(point.time))
        .y((point) => y(point[name]))
        .curve(curve);
    replace(
      this.groups.fan,
      s("path", { class: "fan", d: area("q10", "q99")(data.horizons) }),
      s("path", { class: "fan inner", d: area("q10", "q90")(data.horizons) }),
      data.expected.length > 0 && [
        s("path", { class: "fan then-fan", d: area("q10", "q90")(data.expected) }),
        s("path", { class: "then", d: line("mean")(data.expected) }),
      ],
      s("path", { class: "mean", d: line("mean")(data.horizons) }),
    );
  }

  drawLines(x, y) {
    const { data } = this;
    const short = (points, name, capacity) =>
      d3
        .area()
        .defined((point) => point[name] !== null && capacity(point) !== null)
        .x((point) => x(point.time))
        .y0((point) => y(capacity(point)))
        .y1((point) => y(Math.max(point[name], capacity(point))))(points);
    const line = (name, curve) =>
      d3
        .line()
        .defined((point) => point[name] !== null && point[name] !== undefined)
        .x((point) => x(point.time))
        .y((point) => y(point[name]))
        .curve(curve);
    replace(
      this.groups.lines,
      s("path", { class: "short", d: short(data.history, "level", (point) => point.capacity) }),
      s("path", { class: "short", d: short(data.horizons, "q90", (point) => this.capacityAt(point.time)) }),
      s("path", { class: "cap", d: line("capacity", d3.curveStepAfter)(data.history) }),
      s("path", { class: "cap ahead", d: line("capacity", d3.curveStepAfter)(data.ahead) }),
      s("path", { class: "level", d: line("level", d3.curveLinear)(data.history) }),
    );
  }

  drawMarks(x, height) {
    const { data } = this;
    const middle = height - margin.bottom - 5;
    replace(
      this.groups.marks,
      data.marks
        .filter((mark) => mark.time >= data.from && mark.time <= data.to)
        .map((mark) =>
          s("path", {
            class: `mark ${mark.kind}`,
            d: shapes[mark.kind],
            transform: `translate(${x(mark.time)},${middle})`,
          }),
        ),
    );
  }

  capacityAt(time) {
    const { history, ahead } = this.data;
    const points = ahead.length > 0 && time >= ahead[0].time ? ahead : history;
    const index = before(points, time);
    return index < 0 ? null : (points[index].capacity ?? null);
  }

  // MARK: pointing

  point(pixels) {
    if (this.data) this.move(this.x.invert(pixels).getTime());
  }

  leave() {
    this.cursor = null;
    this.tip.hidden = true;
    replace(this.groups.cursor);
  }

  pick() {
    if (this.cursor && this.cursor <= this.data.now) this.onPick(this.cursor);
  }

  key(event) {
    const { data } = this;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key === "Escape") return this.leave();
    if (event.key === "Enter") return this.pick();
    if (!data || !(event.key in steps)) return;
    event.preventDefault();
    this.move((this.cursor ?? data.now) + (steps[event.key] * (data.to - data.from)) / (event.shiftKey ? 12 : 60));
  }

  move(time) {
    const { data, x, y } = this;
    this.cursor = Math.min(Math.max(time, data.from), data.to);
    const found = this.find(this.cursor);
    const left = x(found.time);
    const knobs = [
      ["level", "--ink"],
      ["mean", "--accent"],
      ["capacity", "--capacity"],
    ].filter(([name]) => typeof found[name] === "number");
    replace(
      this.groups.cursor,
      s("line", { class: "cross", x1: left, x2: left, y1: margin.top, y2: this.height - margin.bottom }),
      knobs.map(([name, colour]) => {
        const knob = s("circle", { class: "knob", r: 4, cx: left, cy: y(found[name]) });
        knob.style.fill = `var(${colour})`;
        return knob;
      }),
    );
    this.explain(found, left);
  }

  /** Everything that is known about a moment. */
  find(time) {
    const { data } = this;
    if (time <= data.now) {
      const index = Math.max(before(data.history, time), 0);
      const point = data.history[index] ?? { time };
      const then = data.expected[before(data.expected, point.time)];
      // What was expected at one moment is known for a few horizons only, so the nearest one before stands for it.
      const reach = data.picked ? Infinity : 300_000;
      return { ...point, expected: then && Math.abs(then.time - point.time) < reach ? then : null };
    }
    const index = Math.min(before(data.horizons, time) + 1, data.horizons.length - 1);
    const horizon = data.horizons[index];
    return horizon ? { ...horizon, level: undefined, capacity: this.capacityAt(horizon.time) } : { time };
  }

  explain(found, left) {
    const { data, tip } = this;
    const reach = (data.to - data.from) / 80;
    const marks = data.marks.filter((mark) => Math.abs(mark.time - found.time) < reach).slice(0, 3);
    const events = data.events.filter((one) => one.start <= found.time && one.end > found.time);
    const demand = found.level ?? found.mean;
    const row = (name, value) => [h("dt", null, name), h("dd", null, value)];
    replace(
      tip,
      h(
        "p",
        { class: "tip-time", title: moment(found.time) },
        `${hour(found.time)}, ${relative(found.time, data.now)}`,
      ),
      h(
        "dl",
        null,
        typeof found.level === "number" && row("Observed", number(found.level)),
        typeof found.mean === "number" && row("Forecast", number(found.mean)),
        typeof found.q90 === "number" && row("80 % interval", `${number(found.q10)} – ${number(found.q90)}`),
        typeof found.influence === "number" &&
          Math.abs(found.influence) > 0.005 * Math.abs(found.mean) &&
          row("By neighbours", number(found.influence)),
        found.expected &&
          row(
            data.picked ? `Forecast at ${hour(data.picked)}` : `Forecast ${duration(data.beforeSeconds)} before`,
            number(found.expected.mean),
          ),
        typeof found.capacity === "number" && row("Capacity", number(found.capacity)),
        typeof found.capacity === "number" && found.capacity > 0 && row("Use", percent(demand / found.capacity)),
        typeof found.readyUnits === "number" && row("Units", number(found.readyUnits)),
      ),
      events.map((one) => h("p", null, `${one.name}: ${one.about}`)),
      marks.map((mark) => h("p", { class: "tip-mark" }, `${hour(mark.time)} ${mark.about}`)),
    );
    tip.hidden = false;
    const width = this.node.clientWidth;
    // Below what it tells of where that is high up, above it where that is low.
    const bottom = this.height - margin.bottom - lane - tip.offsetHeight - 8;
    const above = this.y(demand ?? 0) < this.height / 2 ? Math.max(margin.top, bottom) : margin.top;
    const beside = left + 16 + tip.offsetWidth > width ? left - tip.offsetWidth - 16 : left + 16;
    tip.style.transform = `translate(${Math.max(0, beside)}px, ${above}px)`;
  }
}

/** Several named lines over time with one colour each: the plot of a preview. */
export class LinesChart {
  constructor(label, lines, height = 240) {
    Object.assign(this, { lines, height, points: [] });
    this.groups = { y: s("g", { class: "axis" }), x: s("g", { class: "axis" }), paths: s("g", {}) };
    this.svg = s("svg", { height, role: "img", "aria-label": label }, Object.values(this.groups));
    this.node = h("div", { class: "chart" }, this.svg);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  update(points) {
    this.points = points.map((point) => ({ ...point, time: at(point.time) }));
    this.draw();
  }

  draw() {
    const width = this.node.clientWidth;
    const { points, height, lines } = this;
    if (width === 0 || points.length === 0) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const x = d3.scaleTime(
      d3.extent(points, (point) => point.time),
      [margin.left, width - margin.right],
    );
    const top = d3.max(points, (point) => d3.max(lines, ({ name }) => point[name] ?? 0)) || 1;
    const y = d3.scaleLinear([0, top * 1.05], [height - margin.bottom, margin.top]).nice(5);
    axes(this.groups, x, y, width, height);
    replace(
      this.groups.paths,
      lines.map(({ name, style, isStep }) =>
        s("path", {
          class: style,
          d: d3
            .line()
            .defined((point) => typeof point[name] === "number")
            .x((point) => x(point.time))
            .y((point) => y(point[name]))
            .curve(isStep ? d3.curveStepAfter : d3.curveLinear)(points),
        }),
      ),
    );
  }
}
