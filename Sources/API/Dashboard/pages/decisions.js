import { h, renew, replace } from "../parts/dom.js";
import { get, path } from "../parts/api.js";
import { live } from "../parts/live.js";
import {
  count,
  duration,
  money,
  moment,
  number,
  percent,
  plural,
  signed,
  unknown,
  when,
  words,
} from "../parts/format.js";
import { badge, empty, head, load, section, select, Stat, stats, throttle, VirtualList } from "../parts/ui.js";
import { present, twinLink, units } from "../parts/twinbits.js";
import { answerButtons } from "../parts/orders.js";

/** The ledger: what waits, what was decided and why, with what outcome. */
export async function decisions({ root, params, query, signal, me }) {
  const page = new DecisionsPage({ signal, me, resource: query.get("resource") ?? "", chosen: params[0] ?? null });
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class DecisionsPage {
  constructor(start) {
    Object.assign(this, { kind: "decision", mode: "", isChange: true, items: [], next: null }, start);
  }

  filter() {
    const isDecision = this.kind === "decision";
    return {
      resource: this.resource,
      kind: this.kind,
      limit: 200,
      mode: isDecision ? this.mode : "",
      changes: isDecision && this.isChange ? "true" : "",
    };
  }

  async read() {
    const { resource, signal } = this;
    const [page, waiting, effects] = await Promise.all([
      get(path("decisions"), this.filter(), signal),
      get(path("proposals"), { limit: 100 }, signal),
      get(path("effectiveness"), { resource }, signal),
    ]);
    Object.assign(this, { items: page.items, next: page.next, waiting: waiting.items, effects });
  }

  show(root) {
    this.waitingPlace = h("div");
    this.figures = {
      actions: new Stat("Actions", "Of those that are remembered"),
      ready: new Stat("Became ready"),
      failed: new Stat("Failed"),
      lead: new Stat("Ready after", "From an action to ready units, on average"),
      error: new Stat("Use was off by", "Mean of |observed − expected|, in points of use"),
    };
    this.detail = h("div", { class: "detail", "aria-live": "polite" });
    this.listPlace = h("div");
    this.list = new VirtualList({
      label: "Decisions",
      rowHeight: 56,
      key: (event) => event.id,
      create: (event) => this.row(event),
      onEnd: () => this.more(),
    });
    replace(
      root,
      head(
        "Decisions",
        "Every number that was decided, with the forecast, the candidates and each constraint behind it.",
      ),
      stats(...Object.values(this.figures)),
      this.waitingPlace,
      h(
        "div",
        { class: "ledger" },
        section("Ledger", {}, h("div", { class: "controls filters" }, this.controls()), this.listPlace),
        section("Explanation", { name: "explanation" }, this.detail),
      ),
    );
    this.draw();
    this.choose(this.chosen ?? this.waiting[0]?.id ?? this.items[0]?.id ?? null);
    this.refresh = throttle(() => this.again(), 1500, this.signal);
    for (const name of ["decision", "command", "action"]) live.on(name, () => this.refresh(), this.signal);
  }

  async again() {
    // While somebody reads further down, the list stays as it is.
    if (this.list.node.scrollTop > 0) {
      this.waiting = (await get(path("proposals"), { limit: 100 }, this.signal)).items;
    } else {
      await this.read();
    }
    if (!this.signal.aborted) this.draw();
  }

  controls() {
    const set = async (name, value) => {
      this[name] = value;
      modes.hidden = this.kind !== "decision";
      await load(
        this.listPlace,
        this.signal,
        () => this.read(),
        () => this.draw(),
      );
    };
    const kinds = {
      decision: "Decisions",
      result: "Results",
      commandAccepted: "Orders taken",
      commandRefused: "Orders refused",
      policyRejected: "Policies refused",
      outcomeRefused: "Reports refused",
    };
    const modeNames = ["observe", "recommend", "approve", "act"].map((mode) => [mode, words(mode)]);
    const modes = h(
      "span",
      { class: "controls" },
      select([["", "Any mode"], ...modeNames], this.mode, (value) => set("mode", value), "Mode"),
      h(
        "label",
        { class: "check" },
        h("input", {
          type: "checkbox",
          checked: this.isChange,
          onchange: (event) => set("isChange", event.target.checked),
        }),
        "Only changes",
      ),
    );
    const twin = h("input", {
      type: "search",
      value: this.resource,
      placeholder: "Twin",
      "aria-label": "Twin, by its whole name",
      onchange: (event) => set("resource", event.target.value.trim()),
    });
    return [twin, modes, select(Object.entries(kinds), this.kind, (value) => set("kind", value), "Kind")];
  }

  draw() {
    const { waiting, items, effects, figures } = this;
    figures.actions.set(count(effects.actions), effects.open ? `${count(effects.open)} in flight` : "");
    figures.ready.set(count(effects.ready));
    figures.failed.set(count(effects.failed), "", effects.failed > 0 ? "danger" : "");
    figures.lead.set(
      duration(effects.leadSecondsMean),
      effects.leadSecondsExpectedMean === null ? "" : `expected ${duration(effects.leadSecondsExpectedMean)}`,
    );
    figures.error.set(percent(effects.utilisationErrorMean, 1));
    renew(
      this.waitingPlace,
      waiting.map((event) => event.id),
      () =>
        waiting.length > 0 &&
        section(
          "Wait for approval",
          { note: plural(waiting.length, "proposal") },
          h(
            "ul",
            { class: "waiting" },
            waiting.map((event) => this.proposal(event)),
          ),
        ),
    );
    if (items.length === 0) {
      replace(this.listPlace, empty("Nothing here", "No entry of the ledger matches this filter."));
      return;
    }
    if (this.list.node.parentNode !== this.listPlace) replace(this.listPlace, this.list.node);
    this.list.update(items);
  }

  proposal({ id, data, time }) {
    return h(
      "li",
      null,
      h(
        "div",
        { class: "waiting-what" },
        h("p", null, h("a", { href: twinLink(data.resource) }, data.resource), " ", units(present(data), data.desired)),
        h("p", { class: "note" }, data.reason),
      ),
      h("span", { class: "note nowrap", title: moment(time) }, when(time, live.now)),
      h(
        "div",
        { class: "controls" },
        h("button", { class: "button", onclick: () => this.choose(id) }, "Explain"),
        answerButtons(data.proposal, this.me, () => this.refresh()),
      ),
    );
  }

  async more() {
    if (!this.next || this.isReading) return;
    this.isReading = true;
    try {
      const page = await get(path("decisions"), { ...this.filter(), cursor: this.next }, this.signal);
      this.items = [...this.items, ...page.items];
      this.next = page.next;
      this.list.update(this.items);
    } catch (error) {
      if (error.name !== "AbortError") this.next = null;
    }
    this.isReading = false;
  }

  row(event) {
    const { data } = event;
    const isDecision = data.kind === "decision";
    const node = h(
      "button",
      { class: "entry", type: "button", onclick: () => this.choose(event.id) },
      h(
        "span",
        { class: "entry-head" },
        h("b", null, data.resource ?? data.policy ?? words(data.kind)),
        isDecision ? h("span", null, units(present(data), data.desired)) : h("span", null, summary(data)),
        h("time", { datetime: event.time ?? "", title: moment(event.time) }, when(event.time, live.now)),
      ),
      h("span", { class: "entry-why" }, data.reason ?? ""),
    );
    return { node, update: () => node.setAttribute("aria-pressed", String(event.id === this.chosen)) };
  }

  async choose(id) {
    this.chosen = id;
    this.list.draw();
    if (!id) {
      replace(this.detail, empty("Nothing chosen", "Choose an entry of the ledger."));
      return;
    }
    history.replaceState(null, "", `#/decisions/${encodeURIComponent(id)}`);
    await load(
      this.detail,
      this.signal,
      () => get(path("decisions", id), {}, this.signal),
      (found) => {
        if (id === this.chosen) replace(this.detail, explain(found));
      },
    );
  }
}

function summary(data) {
  if (data.kind === "result") return `${data.from} → ${data.to}, ${data.status}`;
  if (data.kind === "policyRejected") return `version ${count(data.version)} refused`;
  if (data.kind === "outcomeRefused") return `report on ${data.action} refused`;
  return `${words(data.verb)} ${data.kind === "commandAccepted" ? "taken" : "refused"}`;
}

// MARK: the explanation

const constraintNames = {
  consolidation: "one unit less would fall short",
  neededSoon: "would be asked for again soon",
  minimum: "minimum",
  maximum: "maximum",
  sharedBudget: "shared budget",
  actionInFlight: "an action is in flight",
  stabilisationDown: "stabilisation, down",
  stabilisationUp: "stabilisation, up",
  flapBudget: "flap budget",
};

/** Everything about one entry. */
function explain({ decision, action }) {
  const { data } = decision;
  if (data.kind !== "decision")
    return facts([
      ["Kind", words(data.kind)],
      ...Object.entries(data)
        .filter(([, value]) => value !== null && typeof value !== "object")
        .map(([name, value]) => [words(name), String(value)]),
      ...effects(data),
    ]);
  const { inputs } = data;
  return [
    h(
      "p",
      { class: "detail-head" },
      h("a", { href: twinLink(data.resource) }, data.resource),
      " ",
      units(present(data), data.desired),
      " ",
      badge(data.mode, data.mode === "act" ? "accent" : "plain"),
    ),
    h("p", { class: "why" }, data.reason),
    h("p", { class: "note" }, `What would change it: ${data.whatWouldChange}.`),
    h("h3", null, "From proposal to decision"),
    steps(data),
    h("h3", null, "What it rests on"),
    facts([
      ["Decided", moment(decision.time)],
      [
        "Policy",
        data.policy
          ? h(
              "a",
              { href: `#/policies/${encodeURIComponent(data.policy.name)}` },
              `${data.policy.name}, version ${data.policy.version}`,
            )
          : "none",
      ],
      [
        "Metric",
        `${inputs.metric ?? unknown}, ${inputs.quality}${inputs.distrusted ? ", distrusted" : ""}${inputs.young ? ", young" : ""}`,
      ],
      ["Demand now", number(inputs.level)],
      [`Demand at ${percent(inputs.quantile, 1)}`, `${number(inputs.value)} in ${duration(inputs.horizonSeconds)}`],
      ["Mean at the end of the window", `${number(inputs.mean)} in ${duration(inputs.windowSeconds)}`],
      ["Added by neighbours", signed(data.neighbours?.added)],
      ["One unit carries", `${number(inputs.capacityPerReplica)}, used to ${percent(inputs.targetUtilisation)}`],
      ["Lead time", `${duration(inputs.leadSecondsDeclared)} declared, ${duration(inputs.leadSecondsLearned)} learned`],
      ["Expected use", percent(data.expectedUtilisation)],
      ["Cost per hour", `${money(data.pricePerHour)} (${signed(data.pricePerHourChange, money)})`],
      data.shortfall > 0 && ["Cannot be had", plural(data.shortfall, "unit")],
      data.command && [
        "Order",
        `${words(data.command.verb)} by ${data.command.owner ?? unknown}: ${data.command.reason ?? ""}`,
      ],
    ]),
    action && [
      h("h3", null, "Outcome"),
      facts([
        ["Action", h("span", null, `${action.from} → ${action.to} `, badge(action.status))],
        ["Issued", moment(action.issued)],
        ...action.outcomes.map((one) => [
          words(one.status),
          `${when(one.time, action.issued)}, ${number(one.readyUnits)} ready`,
        ]),
        ...effects(action.result?.data ?? action.result ?? {}),
      ]),
    ],
  ];
}

function effects({ expected, came }) {
  if (!expected || !came) return [];
  return [
    ["Ready after", `${duration(came.leadSeconds)}; expected ${duration(expected.leadSeconds)}`],
    ["Use", `${percent(came.utilisation)}; expected ${percent(expected.utilisation)}`],
  ];
}

const facts = (list) =>
  h(
    "dl",
    { class: "facts" },
    list.filter(Boolean).map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );

/** The candidates as bars, then each constraint with its before and after. */
function steps(data) {
  const { candidates, constraints } = data;
  const proposed = ["predictive", "reactive", "threshold", "manual"].filter(
    (name) => typeof candidates[name] === "number",
  );
  const top = Math.max(
    1,
    present(data),
    data.current,
    data.desired,
    ...proposed.map((name) => candidates[name]),
    ...constraints.flatMap((one) => [one.before, one.after]),
  );
  const bar = (label, value, tone) => {
    const fill = h("i", { class: `bar ${tone}` });
    fill.style.width = `${(value / top) * 100}%`;
    return h(
      "li",
      null,
      h("span", null, label),
      h("span", { class: "bar-track", "aria-hidden": "true" }, fill),
      h("b", { class: "num" }, count(value)),
    );
  };
  return h(
    "ol",
    { class: "steps" },
    bar("ready", present(data), "now"),
    data.current !== present(data) && bar("under way", data.current, "now"),
    proposed.map((name) => bar(name, candidates[name], "")),
    constraints.map((one) =>
      bar(constraintNames[one.name] ?? words(one.name), one.after, one.after < one.before ? "cut" : "raised"),
    ),
    bar("decided", data.desired, "decided"),
  );
}
