import { h, replace, text } from "../parts/dom.js";
import { get, path, send } from "../parts/api.js";
import { live } from "../parts/live.js";
import { count, money, moment, number, percent, plural, when, date, hour } from "../parts/format.js";
import { ask, badge, columns, empty, failure, field, head, load, section, throttle, toast } from "../parts/ui.js";
import { LinesChart } from "../parts/chart.js";
import { pauseButtons } from "../parts/orders.js";

/** Policies: read, changed, tried against the past, applied, taken back. */
export async function policies({ root, params, signal, me }) {
  const page = new PoliciesPage({ signal, me, name: params[0] ?? null });
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    8,
  );
}

class PoliciesPage {
  constructor(start) {
    Object.assign(this, start);
  }

  async read() {
    this.items = [];
    let cursor = "";
    while (cursor !== null) {
      const page = await get(path("policies"), { limit: 1000, cursor }, this.signal);
      this.items.push(...page.items);
      cursor = page.next;
    }
  }

  show(root) {
    this.list = h("ul", { class: "policy-list" });
    this.place = h("div", { class: "stack" });
    replace(
      root,
      head(
        "Policies",
        "How much is enough for whom, who may act, and what it may cost.",
        this.me.role === "admin" &&
          h("button", { class: "button primary", onclick: () => this.create() }, "New policy"),
      ),
      h("div", { class: "sidebyside" }, section("In force", {}, this.list), this.place),
    );
    this.refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.drawList();
      },
      800,
      this.signal,
    );
    live.on(
      "policy",
      (policy) => {
        this.refresh();
        this.editor?.heard(policy);
      },
      this.signal,
    );
    this.drawList();
    this.choose(this.name ?? this.items[0]?.name ?? null);
  }

  drawList() {
    if (this.items.length === 0) {
      replace(this.list, h("li", null, empty("No policy yet", "Without one, resources are observed only.")));
      return;
    }
    replace(
      this.list,
      this.items.map(({ name, policy, rejected }) =>
        h(
          "li",
          null,
          h(
            "a",
            { href: `#/policies/${encodeURIComponent(name)}`, "aria-current": name === this.name ? "true" : null },
            h("span", null, name),
            rejected
              ? badge("refused", "danger")
              : badge(policy?.mode ?? "observe", policy?.mode === "act" ? "accent" : "plain"),
          ),
        ),
      ),
    );
  }

  async choose(name, fresh) {
    this.name = name;
    this.drawList();
    if (!name) {
      replace(this.place, section("No policy chosen", {}, empty("Choose one", "Or make a new one.")));
      return;
    }
    await load(
      this.place,
      this.signal,
      async () => {
        if (fresh) return { name, version: null, policy: fresh };
        return get(path("policies", name), {}, this.signal);
      },
      (entry) => {
        this.editor = new Editor(entry, this);
        replace(this.place, this.editor.node);
      },
    );
  }

  async create() {
    const made = await ask(
      "New policy",
      [
        field("Name", h("input", { name: "name", required: true, maxlength: 256, autocomplete: "off" })),
        h(
          "div",
          { class: "pair" },
          field(
            "For",
            h(
              "select",
              { name: "key" },
              ["resource", "locality", "class"].map((key) => h("option", { value: key }, key)),
            ),
          ),
          field("Named", h("input", { name: "value", required: true, maxlength: 256, autocomplete: "off" })),
        ),
      ],
      {
        confirm: "Write it",
        submit: async (form) => ({
          name: form.get("name"),
          match: { [form.get("key")]: form.get("value") },
        }),
      },
    );
    if (made)
      this.choose(made.name, {
        match: made.match,
        mode: "recommend",
        targetUtilisation: 0.7,
        replicas: { min: 1, max: 10 },
      });
  }
}

/** Fields that most changes are about; everything else is in the text. */
const quick = [
  { path: ["mode"], label: "Mode", options: ["observe", "recommend", "approve", "act"] },
  { path: ["criticality"], label: "Criticality", options: ["", "low", "normal", "high", "critical"] },
  {
    path: ["targetUtilisation"],
    label: "Target use",
    type: { min: 0.01, max: 1, step: 0.01 },
    note: "0.7 leaves 30 % free",
  },
  {
    path: ["quantile"],
    label: "Quantile",
    type: { min: 0.5, max: 0.9999, step: "any" },
    note: "0.9 is short one time in ten",
  },
  { path: ["replicas", "min"], label: "Units at least", type: { min: 1, step: 1 } },
  { path: ["replicas", "max"], label: "Units at most", type: { min: 1, step: 1 } },
  { path: ["stabilisation", "downSeconds"], label: "Hold before scaling in, s", type: { min: 0, step: 1 } },
  { path: ["pricePerUnitHour"], label: "Price of a unit-hour", type: { min: 0, step: "any" } },
];

const read = (object, place) => place.reduce((value, name) => value?.[name], object);

function write(object, place, value) {
  const [name, ...rest] = place;
  const copy = { ...object };
  if (rest.length > 0) {
    const inner = write(copy[name] ?? {}, rest, value);
    if (Object.keys(inner).length > 0) copy[name] = inner;
    else delete copy[name];
  } else if (value === undefined) delete copy[name];
  else copy[name] = value;
  return copy;
}

/** What was changed and not applied, kept while one looks at other pages. */
const drafts = new Map();

class Editor {
  constructor(entry, page) {
    Object.assign(this, { entry, page, signal: page.signal, me: page.me, name: entry.name });
    this.inForce = this.bodyOf(entry);
    this.draft = drafts.get(entry.name) ?? (entry.version === null ? entry.policy : this.inForce);
    this.build();
    this.take(this.draft, "all");
    this.readVersions();
  }

  bodyOf(entry) {
    if (entry.version === null) return null;
    const { name, version, ...body } = entry.policy ?? {};
    return body;
  }

  get isChanged() {
    return JSON.stringify(this.draft) !== JSON.stringify(this.inForce);
  }

  build() {
    const mayWrite = this.me.role === "admin";
    this.area = h("textarea", {
      class: "code",
      rows: 16,
      spellcheck: "false",
      "aria-label": `Policy ${this.name} as JSON`,
      oninput: () => this.typed(),
    });
    this.verdict = h("p", { class: "verdict", role: "status" });
    this.subtitle = h("span");
    this.inputs = quick.map((one) => {
      const change = (event) => {
        const raw = event.target.value;
        this.take(write(this.draft, one.path, raw === "" ? undefined : one.options ? raw : Number(raw)), "field");
      };
      const control = one.options
        ? h(
            "select",
            { onchange: change },
            one.options.map((option) => h("option", { value: option }, option || "not said")),
          )
        : h("input", { type: "number", oninput: change, ...one.type });
      return { ...one, control, node: field(one.label, control, one.note) };
    });
    this.apply = h(
      "button",
      {
        class: "button primary",
        disabled: true,
        title: mayWrite ? "" : "Needs the role admin",
        onclick: () => this.put(),
      },
      this.entry.version === null ? "Create" : "Apply",
    );
    this.pausing = h("span", { class: "controls" }, pauseButtons({ policy: this.name }, this.me));
    this.withdraw = h("button", { class: "button", onclick: () => this.remove() }, "Withdraw");
    this.discard = h(
      "button",
      { class: "button", disabled: true, onclick: () => this.take(this.inForce ?? this.draft, "all") },
      "Discard",
    );
    this.changes = h("div");
    this.whatIf = h("div");
    this.versions = h("div");
    this.days = h(
      "select",
      { "aria-label": "Over how much of the past" },
      [
        ["0.25", "last 6 hours"],
        ["1", "last day"],
        ["2", "last 2 days"],
        ["7", "last week"],
      ].map(([value, title]) => h("option", { value, selected: value === "1" }, title)),
    );
    this.run = h("button", { class: "button", onclick: () => this.preview() }, "Try it");
    replace(
      this.whatIf,
      h(
        "p",
        { class: "note" },
        "Runs the same stages over the recorded past: with this policy, with the one in force, with Kubernetes' rule.",
      ),
    );
    this.node = h(
      "div",
      { class: "stack" },
      section(
        this.name,
        { note: this.subtitle, controls: [this.pausing, mayWrite && this.withdraw, this.discard, this.apply] },
        h(
          "div",
          { class: "editor" },
          h(
            "div",
            { class: "quick" },
            this.inputs.map((one) => one.node),
          ),
          h("div", { class: "stack" }, this.area, this.verdict),
        ),
      ),
      section("What it changes", {}, this.changes),
      section(
        "What if",
        {
          controls:
            this.me.role === "viewer" ? h("span", { class: "note" }, "Needs the role operator") : [this.days, this.run],
        },
        this.whatIf,
      ),
      section("Versions", {}, this.versions),
    );
    this.check = throttle(() => this.validate(), 350, this.signal);
    this.drawHead();
  }

  async remove() {
    const done = await ask(
      `Withdraw ${this.name}?`,
      h("p", null, "Its twins then follow the next policy that matches them, or are only observed."),
      {
        confirm: "Withdraw",
        tone: "danger",
        submit: async () => {
          await send("DELETE", path("policies", this.name), undefined, {
            extra: { "if-match": `"${this.entry.version}"` },
          });
          return true;
        },
      },
    );
    if (!done) return;
    toast(`${this.name} is withdrawn`);
    drafts.delete(this.name);
    this.page.refresh();
    this.page.choose(null);
  }

  drawHead() {
    const { version, written, rejected } = this.entry;
    this.withdraw.hidden = this.pausing.hidden = version === null;
    replace(
      this.subtitle,
      version === null ? "not written yet" : `version ${count(version)}, written ${when(written, Date.now())}`,
      rejected && [" ", badge(`refused: ${rejected}`, "danger")],
    );
  }

  typed() {
    let value;
    try {
      value = JSON.parse(this.area.value);
    } catch (error) {
      this.say(`Not JSON: ${error.message}`, "danger");
      this.apply.disabled = true;
      return;
    }
    this.take(value, "text");
  }

  /** Takes a draft that came from a field, the text or a version, and brings the others up to it. */
  take(draft, source) {
    this.draft = draft;
    if (source !== "text") this.area.value = JSON.stringify(draft, null, 2);
    if (source !== "field") {
      for (const { path: place, control } of this.inputs) {
        const value = read(draft, place);
        control.value = value === undefined ? "" : String(value);
      }
    }
    if (this.isChanged) drafts.set(this.name, draft);
    else drafts.delete(this.name);
    this.discard.disabled = !this.isChanged;
    this.apply.disabled = true;
    this.say("Checking …");
    this.check();
  }

  say(message, tone = "") {
    text(this.verdict, message);
    this.verdict.className = `verdict ${tone}`;
  }

  async validate() {
    const { draft } = this;
    const body = JSON.stringify(draft);
    try {
      const { valid, reason } = await send("POST", path("policies", this.name, "validate"), body, {
        signal: this.signal,
      });
      if (draft !== this.draft) return;
      this.say(valid ? (this.isChanged ? "Valid" : "As in force") : reason, valid ? "ok" : "danger");
      this.apply.disabled = !valid || !this.isChanged || this.me.role !== "admin";
      if (!valid || !this.isChanged) {
        replace(
          this.changes,
          h("p", { class: "note" }, valid ? "Nothing yet. Change a field above." : "Mend it first."),
        );
        return;
      }
      const diff = await send("POST", path("policies", this.name, "diff"), body, { signal: this.signal });
      if (draft === this.draft) this.drawDiff(diff);
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message, "danger");
    }
  }

  drawDiff(diff) {
    const show = (value) =>
      value === null ? h("span", { class: "muted" }, "not said") : h("code", null, JSON.stringify(value));
    const names = (list) => list.slice(0, 5).join(", ") + (list.length > 5 ? ` and ${list.length - 5} more` : "");
    replace(
      this.changes,
      h(
        "p",
        { class: "note" },
        `Matches ${plural(diff.resources, "twin")}.`,
        diff.gained.length > 0 && ` New to it: ${names(diff.gained)}.`,
        diff.lost.length > 0 && ` No longer: ${names(diff.lost)}.`,
      ),
      h(
        "table",
        { class: "diff" },
        columns("Field", "In force", "Then"),
        h(
          "tbody",
          null,
          diff.changes.map((one) =>
            h(
              "tr",
              null,
              h("td", null, h("code", null, one.path)),
              h("td", { class: "was" }, show(one.before)),
              h("td", { class: "is" }, show(one.after)),
            ),
          ),
        ),
      ),
    );
  }

  async put() {
    this.apply.disabled = true;
    const condition =
      this.entry.version === null ? { "if-none-match": "*" } : { "if-match": `"${this.entry.version}"` };
    try {
      const written = await send("PUT", path("policies", this.name), this.draft, {
        extra: condition,
        signal: this.signal,
      });
      toast(`${this.name} is applied as version ${written.version}`);
      if (written.warning) toast(`But ${written.warning}`, "danger");
      this.settle(written);
      this.page.refresh();
    } catch (error) {
      this.say(
        error.status === 412
          ? `Somebody changed it meanwhile: ${error.message}. Load it again before you apply.`
          : error.message,
        "danger",
      );
    }
  }

  /** This version is the one in force now. */
  settle(entry) {
    this.entry = entry;
    this.inForce = this.bodyOf(entry);
    this.draft = this.inForce;
    text(this.apply, "Apply");
    this.drawHead();
    this.take(this.inForce, "all");
    this.readVersions();
  }

  heard(entry) {
    if (entry.name !== this.name || !entry.policy) return;
    if (entry.version === this.entry.version) {
      this.entry = entry;
      this.drawHead();
    } else if (!this.isChanged) this.settle(entry);
  }

  // MARK: versions

  async readVersions() {
    if (this.entry.version === null) return replace(this.versions, empty("None yet"));
    try {
      const { items } = await get(path("policies", this.name, "versions"), {}, this.signal);
      replace(
        this.versions,
        h(
          "table",
          null,
          h(
            "tbody",
            null,
            items.map((one) =>
              h(
                "tr",
                null,
                h("td", { class: "nowrap" }, `Version ${count(one.version)}`),
                h("td", { class: "nowrap muted", title: moment(one.written) }, when(one.written, Date.now())),
                h(
                  "td",
                  null,
                  one.rejected
                    ? badge(`refused: ${one.rejected}`, "danger")
                    : one.version === this.entry.version
                      ? badge("in force", "ok")
                      : one.policy
                        ? ""
                        : badge("withdrawn"),
                ),
                h(
                  "td",
                  { class: "num" },
                  one.policy &&
                    one.version !== this.entry.version &&
                    h(
                      "button",
                      {
                        class: "button",
                        onclick: () => {
                          this.take(this.bodyOf(one), "all");
                          this.node.scrollIntoView({ block: "start" });
                          toast(`Version ${one.version} is in the editor; apply it to go back`);
                        },
                      },
                      "Bring back",
                    ),
                ),
              ),
            ),
          ),
        ),
      );
    } catch (error) {
      if (error.name !== "AbortError")
        replace(
          this.versions,
          failure(error, () => this.readVersions()),
        );
    }
  }

  // MARK: what if

  async preview() {
    this.run.disabled = true;
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
    replace(this.whatIf, h("p", { class: "note" }, "Running the past again …"), bar);
    try {
      let study = await send("POST", path("policies", this.name, "preview"), this.draft, {
        query: { days: this.days.value },
        signal: this.signal,
      });
      while (study.status === "running") {
        await new Promise((resolve) => {
          setTimeout(resolve, 400);
        });
        study = await get(path("previews", study.id), {}, this.signal);
        bar.value = study.progress;
      }
      if (study.status === "failed") throw new Error(study.reason ?? "The preview failed.");
      this.drawStudy(study);
    } catch (error) {
      if (error.name !== "AbortError")
        replace(
          this.whatIf,
          failure(error, () => this.preview()),
        );
    }
    this.run.disabled = false;
  }

  drawStudy(study) {
    const titles = { proposed: "This policy", current: "In force", hpa: "Kubernetes' rule" };
    const isBest = (arm, name) => {
      const all = study.arms.map((one) => one[name] ?? Infinity);
      return arm[name] === Math.min(...all) && Math.max(...all) > arm[name];
    };
    const cell = (arm, name, show) => h("td", { class: `num${isBest(arm, name) ? " best" : ""}` }, show(arm[name]));
    const chart = new LinesChart("Units needed and units there, over time", [
      { name: "needed", style: "level" },
      { name: "hpa", style: "arm hpa", isStep: true },
      { name: "current", style: "arm current", isStep: true },
      { name: "proposed", style: "arm proposed", isStep: true },
    ]);
    replace(
      this.whatIf,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          null,
          columns("", ">Time short", ">Unit-hours short", ">Unit-hours", ">Cost", ">Actions", ">Reversals"),
          h(
            "tbody",
            null,
            study.arms.map((arm) =>
              h(
                "tr",
                null,
                h("th", { scope: "row", class: "row-head" }, titles[arm.name]),
                cell(arm, "shortageShare", (value) => percent(value, 2)),
                cell(arm, "shortageUnitHours", number),
                cell(arm, "unitHours", number),
                cell(arm, "cost", money),
                cell(arm, "actions", count),
                cell(arm, "reversals", count),
              ),
            ),
          ),
        ),
      ),
      h(
        "p",
        { class: "note" },
        `${plural(study.resources, "resource")}, ${count(study.samples)} samples, ` +
          `${date(study.from)} ${hour(study.from)} to ${date(study.to)} ${hour(study.to)}.` +
          (study.seriesResource ? ` Below, ${study.seriesResource}, where it matters most.` : ""),
      ),
      chart.node,
      h(
        "p",
        { class: "legend chart-legend" },
        [
          ["line-level", "needed"],
          ["line-proposed", "this policy"],
          ["line-current", "in force"],
          ["line-hpa", "Kubernetes' rule"],
        ].map(([style, title]) => h("span", null, h("i", { class: `key ${style}` }), title)),
      ),
    );
    chart.update(study.series);
  }
}
