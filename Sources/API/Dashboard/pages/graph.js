import { h, replace, text, color, Keyed } from "../parts/dom.js";
import { get, path } from "../parts/api.js";
import { live } from "../parts/live.js";
import { number, percent, plural, signed, duration } from "../parts/format.js";
import { badge, empty, field, head, load, section, select, throttle } from "../parts/ui.js";
import { heat, heatNames, twinLink } from "../parts/twinbits.js";

const { d3 } = window;
const edgesMax = 1000;
const hopMilliseconds = 900;
const hopsMax = 4;
const labelsMax = 60;

/** Who talks to whom, where, and how a change travels. */
export async function graph({ root, query, signal }) {
  const page = new GraphPage(signal, query.get("around"));
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class GraphPage {
  constructor(signal, around) {
    Object.assign(this, {
      signal,
      around,
      chosen: around,
      hovered: null,
      nodes: [],
      edges: [],
      view: d3.zoomIdentity,
      wave: null,
      place: "",
    });
  }

  async read() {
    const { around, signal } = this;
    const found = await get(
      path("graph"),
      { limit: edgesMax, locality: this.place, ...(around ? { around, hops: 3 } : {}) },
      signal,
    );
    this.truncated = found.truncated;
    this.take(found);
  }

  /** Keeps the place of what was there. */
  take(found) {
    const known = new Map(this.nodes.map((node) => [node.resource, node]));
    const traffic = new Map();
    for (const edge of found.edges) {
      for (const name of [edge.source, edge.target]) traffic.set(name, (traffic.get(name) ?? 0) + (edge.rate ?? 0));
    }
    const radius = d3.scaleSqrt([0, d3.max([...traffic.values()]) || 1], [6, 17]);
    const isNew = found.nodes.some((node) => !known.has(node.resource)) || found.nodes.length !== this.nodes.length;
    this.nodes = found.nodes.map((node) =>
      Object.assign(known.get(node.resource) ?? {}, node, { radius: radius(traffic.get(node.resource) ?? 0) }),
    );
    this.byName = new Map(this.nodes.map((node) => [node.resource, node]));
    this.edges = found.edges.map((edge) => ({
      ...edge,
      from: this.byName.get(edge.source),
      to: this.byName.get(edge.target),
    }));
    this.out = d3
      .nest()
      .key((edge) => edge.source)
      .map(this.edges);
    this.thickness = d3
      .scaleLog([1, Math.max(10, d3.max(this.edges, (edge) => edge.rate ?? 1) ?? 10)], [0.8, 4.5])
      .clamp(true);
    if (isNew && this.canvas) this.layOut();
  }

  show(root) {
    this.canvas = h("canvas", {
      class: "graph-canvas",
      role: "img",
      "aria-label": "Graph of calls; the list beside it says the same",
    });
    this.tip = h("div", { class: "tip", hidden: true });
    this.legend = h(
      "p",
      { class: "legend" },
      heatNames.map((name, index) => h("span", null, h("i", { class: `key k${index}` }), name)),
      h("span", null, h("i", { class: "key dash" }), "crosses localities"),
    );
    this.panel = h("div", { class: "stack", "aria-live": "polite" });
    this.edgeList = h("ul", { class: "edges" });
    this.edgeLines = new Keyed(
      this.edgeList,
      (edge) => JSON.stringify([edge.source, edge.target]),
      (edge) => this.edgeLine(edge),
    );
    this.note = h("span");
    const places = [...new Set(this.nodes.map((node) => node.locality).filter(Boolean))].sort();
    replace(
      root,
      head(
        this.around ? `Around ${this.around}` : "Graph",
        this.note,
        this.around && h("a", { class: "button", href: "#/graph" }, "Whole graph"),
        !this.around &&
          places.length > 1 &&
          select(
            [["", "All localities"], ...places.map((place) => [place, place])],
            "",
            (place) => {
              this.place = place;
              this.read().then(() => this.drawAll());
            },
            "Locality",
          ),
      ),
      this.nodes.length === 0
        ? section("Calls", {}, empty("No calls seen yet", "Send interactions, and who talks to whom appears here."))
        : h(
            "div",
            { class: "columns" },
            section("Calls", { controls: this.legend }, h("div", { class: "graph-frame" }, this.canvas, this.tip)),
            h("div", { class: "stack" }, section("Twin", {}, this.panel), section("Heaviest calls", {}, this.edgeList)),
          ),
    );
    if (this.nodes.length === 0) return;
    this.listen();
    this.layOut();
    this.drawAll();
    if (!this.around) this.choose(null);
    else this.choose(this.around);
    const refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.drawAll();
      },
      4000,
      this.signal,
    );
    live.on("fleet", refresh, this.signal);
    addEventListener("themechange", () => this.draw(), { signal: this.signal });
    this.signal.addEventListener("abort", () => this.simulation.stop());
  }

  drawAll() {
    text(
      this.note,
      `${plural(this.nodes.length, "twin")}, ${plural(this.edges.length, "call path")}${this.truncated ? ", the heaviest" : ""}. ` +
        "Colour is the highest use expected within 30 minutes; size is traffic.",
    );
    this.edgeLines.update(this.edges.slice(0, 12));
    this.draw();
  }

  // MARK: layout

  layOut() {
    const places = [...new Set(this.nodes.map((node) => node.locality ?? ""))].sort();
    const spread = places.length > 1 ? 60 + 34 * Math.sqrt(this.nodes.length) : 0;
    const center = new Map(
      places.map((place, index) => {
        const angle = (index / places.length) * 2 * Math.PI - Math.PI / 2;
        return [place, [spread * 1.25 * Math.cos(angle), spread * 0.8 * Math.sin(angle)]];
      }),
    );
    this.simulation?.stop();
    this.simulation = d3
      .forceSimulation(this.nodes)
      .force("charge", d3.forceManyBody().strength(-260).distanceMax(400))
      .force(
        "collide",
        d3.forceCollide((node) => node.radius + 14),
      )
      .force(
        "link",
        d3
          .forceLink(this.edges.map((edge) => ({ source: edge.from, target: edge.to, crosses: edge.crossesLocality })))
          .distance((link) => (link.crosses ? 150 : 72))
          .strength((link) => (link.crosses ? 0.02 : 0.25)),
      )
      .force("x", d3.forceX((node) => center.get(node.locality ?? "")[0]).strength(0.14))
      .force("y", d3.forceY((node) => center.get(node.locality ?? "")[1]).strength(0.16))
      .alphaDecay(0.05)
      .stop();
    const ticks = this.nodes.length > 400 ? 60 : 220;
    for (let tick = 0; tick < ticks; tick += 1) this.simulation.tick();
    this.fit();
  }

  /** All of it in sight. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0) return;
    const [x0, x1] = d3.extent(this.nodes, (node) => node.x);
    const [y0, y1] = d3.extent(this.nodes, (node) => node.y);
    const scale = Math.min(1.6, (width - 150) / (x1 - x0 + 1), (height - 130) / (y1 - y0 + 1));
    const view = d3.zoomIdentity
      .translate(width / 2, height / 2)
      .scale(scale)
      .translate(-(x0 + x1) / 2, -(y0 + y1) / 2);
    d3.select(this.canvas).call(this.zoom.transform, view);
  }

  listen() {
    this.zoom = d3
      .zoom()
      .scaleExtent([0.1, 6])
      .on("zoom", () => {
        this.view = d3.event.transform;
        this.draw();
      });
    const canvas = d3.select(this.canvas).call(this.zoom).on("dblclick.zoom", null);
    canvas.on("mousemove", () => this.hover(d3.mouse(this.canvas)));
    canvas.on("mouseleave", () => this.hover(null));
    canvas.on("click", () => this.choose(this.at(d3.mouse(this.canvas))?.resource ?? null));
    const observer = new ResizeObserver(() => this.fit());
    observer.observe(this.canvas);
    this.signal.addEventListener("abort", () => observer.disconnect());
  }

  at([x, y]) {
    const [left, top] = this.view.invert([x, y]);
    return this.nodes.find((node) => Math.hypot(node.x - left, node.y - top) < node.radius + 4) ?? null;
  }

  hover(place) {
    const node = place && this.at(place);
    this.canvas.classList.toggle("is-over", Boolean(node));
    if (node !== this.hovered) {
      this.hovered = node;
      this.draw();
    }
    this.tip.hidden = !node;
    if (!node) return;
    replace(
      this.tip,
      h("p", { class: "tip-time" }, node.resource),
      h(
        "dl",
        null,
        h("dt", null, "Use ahead"),
        h("dd", null, percent(node.utilisation)),
        h("dt", null, "Demand"),
        h("dd", null, number(node.level)),
        h("dt", null, "By neighbours"),
        h("dd", null, signed(node.influence)),
      ),
    );
    const left = Math.min(place[0] + 14, this.canvas.clientWidth - 180);
    this.tip.style.transform = `translate(${left}px, ${place[1] + 14}px)`;
  }

  // MARK: drawing

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      if (!this.signal.aborted) this.paint();
    });
  }

  paint() {
    const { canvas, view } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.translate(view.x, view.y);
    pen.scale(view.k, view.k);
    this.paintPlaces(pen);
    const { focus } = this;
    const near =
      focus &&
      new Set([
        focus,
        ...this.edges
          .filter((edge) => edge.source === focus || edge.target === focus)
          .flatMap((edge) => [edge.source, edge.target]),
      ]);
    const lit = this.wave?.reached ?? near;
    for (const edge of this.edges)
      this.paintEdge(
        pen,
        edge,
        !lit || (this.wave ? this.wave.edges.has(edge) : edge.source === focus || edge.target === focus),
      );
    for (const node of this.nodes) this.paintNode(pen, node, !lit || lit.has(node.resource));
    if (this.wave) this.paintWave(pen);
  }

  /** What all else steps back for. */
  get focus() {
    return this.hovered?.resource ?? this.chosen;
  }

  /** A size of letters that can be read however far one has zoomed out. */
  letters(size) {
    return size / Math.min(1, this.view.k);
  }

  paintPlaces(pen) {
    const groups = d3
      .nest()
      .key((node) => node.locality ?? "")
      .entries(this.nodes);
    if (groups.length < 2) return;
    pen.lineJoin = "round";
    for (const { key, values } of groups) {
      const points = values.flatMap((node) =>
        [
          [-1, -1],
          [1, -1],
          [1, 1],
          [-1, 1],
        ].map(([x, y]) => [node.x + x * (node.radius + 10), node.y + y * (node.radius + 10)]),
      );
      const hull = d3.polygonHull(points);
      pen.beginPath();
      for (const [index, point] of hull.entries()) pen[index === 0 ? "moveTo" : "lineTo"](...point);
      pen.closePath();
      pen.fillStyle = pen.strokeStyle = color("--sunken");
      pen.lineWidth = 44;
      pen.stroke();
      pen.fill();
      const top = d3.min(points, (point) => point[1]) - 24 - this.letters(4);
      pen.fillStyle = color("--ink-3");
      pen.font = `500 ${this.letters(12)}px "Inter", system-ui, sans-serif`;
      pen.textAlign = "center";
      pen.fillText(key || "locality unknown", d3.mean(d3.extent(values, (node) => node.x)), top);
    }
  }

  paintEdge(pen, edge, isLit) {
    const { from, to } = edge;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = Math.hypot(dx, dy) || 1;
    const end = [to.x - (dx / length) * (to.radius + 5), to.y - (dy / length) * (to.radius + 5)];
    const bend = edgeBend(edge);
    pen.globalAlpha = !isLit ? 0.1 : this.edges.length > 200 && !this.focus ? 0.35 : 0.75;
    pen.strokeStyle = pen.fillStyle = isLit && this.focus ? color("--accent") : color("--ink-3");
    pen.lineWidth = this.thickness(Math.max(edge.rate ?? 1, 1));
    pen.setLineDash(edge.crossesLocality ? [5, 4] : []);
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.quadraticCurveTo(...bend, ...end);
    pen.stroke();
    pen.setLineDash([]);
    const angle = Math.atan2(end[1] - bend[1], end[0] - bend[0]);
    const size = 4 + pen.lineWidth;
    pen.beginPath();
    pen.moveTo(end[0] + 3 * Math.cos(angle), end[1] + 3 * Math.sin(angle));
    pen.lineTo(end[0] - size * Math.cos(angle - 0.5), end[1] - size * Math.sin(angle - 0.5));
    pen.lineTo(end[0] - size * Math.cos(angle + 0.5), end[1] - size * Math.sin(angle + 0.5));
    pen.fill();
    pen.globalAlpha = 1;
  }

  paintNode(pen, node, isLit) {
    pen.globalAlpha = isLit ? 1 : 0.25;
    const step = heat(node.utilisation);
    pen.beginPath();
    pen.arc(node.x, node.y, node.radius, 0, 2 * Math.PI);
    pen.fillStyle = step < 0 ? color("--line-strong") : color(`--heat-${step}`);
    pen.fill();
    pen.lineWidth = node.resource === this.chosen ? 3 : 1.5;
    pen.strokeStyle = node.resource === this.chosen ? color("--accent") : color("--ink-3");
    pen.stroke();
    if (this.nodes.length <= labelsMax || node === this.hovered || node.resource === this.chosen || this.view.k > 1.6) {
      const size = this.letters(11);
      pen.font = `500 ${size}px "Inter", system-ui, sans-serif`;
      pen.textAlign = "center";
      pen.lineWidth = 3;
      pen.strokeStyle = color("--surface");
      pen.fillStyle = color("--ink");
      const name = node.resource.length > 24 ? `${node.resource.slice(0, 23)}…` : node.resource;
      pen.strokeText(name, node.x, node.y + node.radius + size + 2);
      pen.fillText(name, node.x, node.y + node.radius + size + 2);
    }
    pen.globalAlpha = 1;
  }

  // MARK: a change that travels

  async startWave() {
    const from = this.chosen;
    const found = await get(path("graph", "paths"), { from, hopsMax }, this.signal);
    if (this.chosen !== from) return;
    const hops = new Map([[from, 0]]);
    const edges = new Map();
    for (const one of found.paths) {
      for (let hop = 1; hop < one.resources.length; hop += 1) {
        const [source, target] = [one.resources[hop - 1], one.resources[hop]];
        if (!hops.has(target)) hops.set(target, hop);
        const edge = (this.out.get(source) ?? []).find((other) => other.target === target);
        if (edge) edges.set(edge, hop - 1);
      }
    }
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.wave = { hops, edges, reached: new Set([from]), begin: performance.now(), isStill };
    this.drawHops();
    this.step();
  }

  step() {
    const { wave } = this;
    if (!wave || this.signal.aborted) return;
    const now = wave.isStill ? Infinity : (performance.now() - wave.begin) / hopMilliseconds;
    wave.now = now;
    for (const [name, hop] of wave.hops) if (hop <= now) wave.reached.add(name);
    this.draw();
    if (now < d3.max([...wave.hops.values()]) + 1) requestAnimationFrame(() => this.step());
  }

  paintWave(pen) {
    const { wave } = this;
    pen.fillStyle = pen.strokeStyle = color("--accent");
    for (const [edge, hop] of wave.edges) {
      const part = wave.now - hop;
      if (part < 0 || part > 1) continue;
      const bend = edgeBend(edge);
      const [a, b, c] = [(1 - part) ** 2, 2 * part * (1 - part), part ** 2];
      pen.beginPath();
      pen.arc(
        a * edge.from.x + b * bend[0] + c * edge.to.x,
        a * edge.from.y + b * bend[1] + c * edge.to.y,
        5,
        0,
        2 * Math.PI,
      );
      pen.fill();
    }
    for (const [name, hop] of wave.hops) {
      const node = this.byName.get(name);
      const age = wave.now - hop;
      if (!node || age < 0 || age > 1) continue;
      pen.globalAlpha = 1 - age;
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(node.x, node.y, node.radius + 4 + 18 * age, 0, 2 * Math.PI);
      pen.stroke();
      pen.globalAlpha = 1;
    }
  }

  drawHops() {
    const groups = d3
      .nest()
      .key((entry) => entry[1])
      .sortKeys(d3.ascending)
      .entries([...this.wave.hops].filter(([, hop]) => hop > 0));
    replace(
      this.hopList,
      groups.length === 0
        ? h("p", { class: "note" }, "It calls nobody, so its changes stay its own.")
        : groups.map(({ key, values }) =>
            h(
              "div",
              { class: "hop" },
              h("h3", null, key === "1" ? "One hop" : `${key} hops`),
              h(
                "ul",
                null,
                values.map(([name]) => {
                  const node = this.byName.get(name);
                  const share =
                    node?.level > 0 && typeof node.influence === "number" ? node.influence / node.level : null;
                  return h(
                    "li",
                    null,
                    h("a", { href: twinLink(name) }, name),
                    h(
                      "span",
                      { class: "muted" },
                      share === null || Math.abs(share) < 0.001
                        ? "no change expected"
                        : signed(share, (value) => percent(value, 1)),
                    ),
                  );
                }),
              ),
            ),
          ),
    );
  }

  // MARK: beside the drawing

  async choose(name) {
    this.chosen = name;
    this.wave = null;
    this.draw();
    if (!name) {
      replace(
        this.panel,
        field(
          "Choose a twin",
          select(
            [
              ["", "…"],
              ...this.nodes
                .map((node) => node.resource)
                .sort()
                .map((one) => [one, one]),
            ],
            "",
            (value) => value && this.choose(value),
            "Twin",
          ),
        ),
        h("p", { class: "note" }, "Or click one in the graph."),
      );
      return;
    }
    const node = this.byName.get(name);
    this.hopList = h("div", { class: "hops" });
    const change = h("p", { class: "why" }, "");
    replace(
      this.panel,
      h("p", { class: "detail-head" }, h("a", { href: twinLink(name) }, name)),
      h(
        "p",
        { class: "tags" },
        [node?.locality, node?.class].filter(Boolean).map((one) => badge(one)),
      ),
      change,
      h(
        "div",
        { class: "controls" },
        h("button", { class: "button primary", onclick: () => this.startWave() }, "Show how it travels"),
        h("button", { class: "button", onclick: () => this.choose(null) }, "Clear"),
      ),
      this.hopList,
    );
    try {
      const forecast = await get(path("twins", name, "forecast"), {}, this.signal);
      if (this.chosen !== name) return;
      const ahead = forecast.horizons.filter((one) => one.horizonSeconds <= 1800).at(-1);
      const share = ahead && forecast.level > 0 ? ahead.mean / forecast.level - 1 : null;
      if (share !== null) {
        const by = `${share > 0 ? "rise" : "fall"} by ${percent(Math.abs(share))}`;
        text(
          change,
          `Expected to ${Math.abs(share) < 0.02 ? "stay as it is" : by} within ${duration(ahead.horizonSeconds)}.`,
        );
      }
    } catch {
      /* the graph says enough */
    }
  }

  edgeLine(edge) {
    const took = h("span", { class: "num muted" });
    const rate = h("span", { class: "num" });
    const from = h("a", { href: twinLink(edge.source) }, edge.source);
    const to = h("a", { href: twinLink(edge.target) }, edge.target);
    return {
      node: h("li", null, h("span", { class: "edge-ends" }, from, " → ", to), took, rate),
      update: (now) => {
        text(took, now.latencySeconds > 0 ? duration(now.latencySeconds) : "");
        text(rate, `${number(now.rate)}/s`);
      },
    };
  }
}

/** Where a curve between two nodes bends: to the left of its way, so that there and back are two lines. */
function edgeBend({ from, to }) {
  return [(from.x + to.x) / 2 + (to.y - from.y) * 0.12, (from.y + to.y) / 2 - (to.x - from.x) * 0.12];
}
