import { h, Keyed, renew, replace, text } from "../parts/dom.js";
import { get, path } from "../parts/api.js";
import { live } from "../parts/live.js";
import { at, count, duration, moment, plural, second, unknown, when } from "../parts/format.js";
import { badge, columns, empty, failure, head, load, section, Stat, stats, throttle } from "../parts/ui.js";

const letterMax = 50;
const flow = ["normalizer", "twin-updater", "drift-detector", "graph-propagator", "scaling-decider"];

/** Records behind which a stage keeps up. */
const behindMax = 1000;

/** Whether a stage has not committed anything yet. */
const isSilent = (stage) => stage.partitions.every((one) => one.committed === null);

/** How the machine itself is. */
export async function pipeline({ root, signal, me }) {
  const page = new PipelinePage(signal, me);
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class PipelinePage {
  constructor(signal, me) {
    Object.assign(this, { signal, me });
  }

  async read() {
    const [state, letters] = await Promise.all([
      get(path("pipeline"), {}, this.signal),
      get(path("deadletters"), { limit: letterMax }, this.signal),
    ]);
    Object.assign(this, { state, letters });
  }

  show(root) {
    this.title = h("span");
    this.figures = {
      lag: new Stat("Records behind", "Over all stages"),
      watermark: new Stat("Watermark", "Event time reached; the slowest stage's watermark"),
      snapshot: new Stat("Oldest snapshot"),
      dead: new Stat("Dead letters", "Records that no stage could understand, since the server started"),
      twins: new Stat("Twins"),
      series: new Stat("Series"),
      edges: new Stat("Edges"),
      clients: new Stat("Live listeners"),
    };
    this.stages = h("ol", { class: "flow" });
    this.tables = h("div");
    this.partitionParts = new Keyed(
      this.tables,
      (stage) => stage.stage,
      (stage) => this.partitions(stage),
    );
    this.topics = h("div", { class: "scroll" });
    this.lettersPlace = h("div");
    this.auditPlace = h("div");
    replace(
      root,
      head(this.title, "Lag, watermarks and snapshots of the five stages, and what none of them could read."),
      stats(...Object.values(this.figures)),
      section("Stages", {}, this.stages),
      section("Dead letters", {}, this.lettersPlace),
      h(
        "div",
        { class: "halves" },
        section("Partitions", {}, this.tables),
        section("What the views read", {}, this.topics),
      ),
      this.me.role === "admin" && section("Who did what", { note: "through this server" }, this.auditPlace),
    );
    this.draw();
    this.readAudit();
    const refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.draw();
      },
      2000,
      this.signal,
    );
    const timer = setInterval(() => {
      if (live.state === "live" && !document.hidden) refresh();
    }, 2000);
    this.signal.addEventListener("abort", () => clearInterval(timer));
    live.on("deadletter", refresh, this.signal);
  }

  draw() {
    const { state, figures } = this;
    const lag = state.stages.reduce((sum, stage) => sum + (stage.lag ?? 0), 0);
    const marks = state.stages.map((stage) => at(stage.watermark)).filter(Number.isFinite);
    const ages = state.stages.map((stage) => stage.snapshot?.ageSeconds).filter((age) => typeof age === "number");
    const silent = state.stages.filter(isSilent);
    text(
      this.title,
      !state.ready
        ? "The server is not ready"
        : silent.length === state.stages.length
          ? "No stage has done anything yet"
          : silent.length > 0
            ? `${plural(silent.length, "stage")} ${silent.length === 1 ? "has" : "have"} done nothing yet`
            : lag > behindMax
              ? "The pipeline is behind"
              : "The pipeline keeps up",
    );
    replace(
      this.title.parentNode.nextSibling,
      state.ready
        ? "Lag, watermarks and snapshots of the five stages, and what none of them could read."
        : badge(state.reason ?? "no reason given", "danger"),
    );
    figures.lag.set(count(lag), "", lag > behindMax ? "warn" : "");
    figures.watermark.set(marks.length ? second(Math.min(...marks)) : unknown);
    figures.snapshot.set(ages.length ? duration(Math.max(...ages)) : unknown, ages.length ? "" : "none seen");
    figures.dead.set(count(state.views.deadLetters), "", state.views.deadLetters > 0 ? "warn" : "");
    figures.twins.set(count(state.views.resources));
    figures.series.set(count(state.views.series));
    figures.edges.set(count(state.views.edges));
    figures.clients.set(count(state.views.streamClients));
    const byName = new Map(state.stages.map((stage) => [stage.stage, stage]));
    replace(
      this.stages,
      flow.filter((name) => byName.has(name)).map((name) => this.stage(byName.get(name))),
    );
    this.partitionParts.update(state.stages);
    replace(
      this.topics,
      h(
        "table",
        null,
        columns("Topic", ">Read", ">Behind"),
        h(
          "tbody",
          null,
          state.topics.map((topic) =>
            h(
              "tr",
              null,
              h("td", null, topic.topic),
              h("td", { class: "num" }, count(topic.records)),
              h("td", { class: "num" }, count(topic.behind)),
            ),
          ),
        ),
      ),
      (state.views.refused > 0 || state.views.malformed > 0) &&
        h(
          "p",
          { class: "note" },
          `${count(state.views.refused)} things beyond a declared limit, ${count(state.views.malformed)} records unreadable.`,
        ),
    );
    this.drawLetters();
  }

  stage(stage) {
    return h(
      "li",
      { class: `flow-stage${isSilent(stage) ? " is-unknown" : stage.lag > behindMax ? " is-behind" : ""}` },
      h("h3", null, stage.stage),
      h(
        "dl",
        { class: "pairs" },
        h("dt", null, "behind"),
        h("dd", null, count(stage.lag)),
        h("dt", null, "watermark"),
        h("dd", { title: moment(stage.watermark) }, stage.watermark ? second(stage.watermark) : unknown),
        h("dt", null, "snapshot"),
        h("dd", null, stage.snapshot ? `${duration(stage.snapshot.ageSeconds)} old` : unknown),
      ),
    );
  }

  /** The partitions of a stage, folded; they stay as open as somebody left them. */
  partitions(stage) {
    const about = h("span", { class: "muted" });
    const rows = h("tbody");
    return {
      node: h(
        "details",
        null,
        h("summary", null, stage.stage, " ", about),
        h("table", null, columns("Partition", ">Committed", ">End", ">Behind"), rows),
      ),
      update: ({ partitions }) => {
        text(about, plural(partitions.length, "partition"));
        const line = (one) => [`${one.topic} ${one.partition}`, count(one.committed), count(one.end), count(one.lag)];
        renew(rows, partitions, () =>
          partitions.map((one) =>
            h(
              "tr",
              null,
              line(one).map((value, column) => h("td", { class: column > 0 && "num" }, value)),
            ),
          ),
        );
      },
    };
  }

  drawLetters() {
    const { items, total } = this.letters;
    renew(this.lettersPlace, [total, items[0]?.id], () => {
      if (items.length === 0) return empty("No dead letters", "Every record was understood.");
      const rows = items.map((letter) =>
        h(
          "tr",
          null,
          h("td", null, letter.reason),
          h("td", { class: "nowrap muted" }, `${letter.topic} ${letter.partition} @ ${letter.offset}`),
          h("td", null, h("code", { class: "raw" }, readable(letter.value))),
        ),
      );
      return h(
        "div",
        { class: "scroll" },
        h("table", null, columns("Why", "From", "What it was"), h("tbody", null, rows)),
      );
    });
  }

  async readAudit() {
    if (this.me.role !== "admin") return;
    try {
      const { items } = await get(path("audit"), { limit: 50 }, this.signal);
      replace(
        this.auditPlace,
        items.length === 0
          ? empty("Nothing yet")
          : h(
              "div",
              { class: "scroll" },
              h(
                "table",
                null,
                columns("At", "Who", "What", "Answer", ""),
                h(
                  "tbody",
                  null,
                  items.map((one) =>
                    h(
                      "tr",
                      null,
                      h("td", { class: "nowrap", title: moment(one.time) }, when(one.time, Date.now())),
                      h("td", null, `${one.who}, ${one.role}`),
                      h("td", null, h("code", null, `${one.method} ${one.path}`)),
                      h("td", null, badge(String(one.status), one.status < 400 ? "ok" : "danger")),
                      h("td", { class: "muted" }, one.detail ?? ""),
                    ),
                  ),
                ),
              ),
            ),
      );
    } catch (error) {
      if (error.name !== "AbortError")
        replace(
          this.auditPlace,
          failure(error, () => this.readAudit()),
        );
    }
  }
}

/** The bytes of a record as far as they are text. */
function readable(base64) {
  if (!base64) return "";
  try {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new TextDecoder().decode(bytes).slice(0, 400);
  } catch {
    return base64;
  }
}
