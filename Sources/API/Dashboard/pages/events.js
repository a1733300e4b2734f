import { h, renew, replace } from "../parts/dom.js";
import { get, path, send } from "../parts/api.js";
import { live } from "../parts/live.js";
import { at, moment, number, relative, when, duration } from "../parts/format.js";
import { ask, badge, columns, empty, field, head, load, section, throttle, toast } from "../parts/ui.js";
import { mayOrder } from "../parts/orders.js";

/** What people know that the past does not tell. */
export async function events({ root, signal, me }) {
  const page = new EventsPage(signal, me);
  await load(
    root,
    signal,
    () => page.read(),
    () => page.show(root),
    6,
  );
}

class EventsPage {
  constructor(signal, me) {
    Object.assign(this, { signal, me });
  }

  async read() {
    this.items = (await get(path("events"), { limit: 500 }, this.signal)).items;
  }

  show(root) {
    this.ahead = h("div");
    this.past = h("div");
    replace(
      root,
      head(
        "Planned events",
        "Campaigns, releases, maintenance: announced here, they are in the forecast before any telemetry moves.",
        mayOrder(this.me) &&
          h("button", { class: "button primary", onclick: () => this.announce() }, "Announce an event"),
      ),
      section("Now and ahead", {}, this.ahead),
      section("Past and called off", {}, this.past),
    );
    this.refresh = throttle(
      async () => {
        await this.read();
        if (!this.signal.aborted) this.draw();
      },
      800,
      this.signal,
    );
    live.on("event", () => this.refresh(), this.signal);
    live.on("fleet", () => this.draw(), this.signal);
    this.draw();
  }

  draw() {
    const now = live.now;
    const minute = Math.floor(now / 60_000);
    const isAhead = (event) => !event.cancelled && !(at(event.end) < now);
    const ahead = this.items.filter(isAhead);
    const past = this.items.filter((event) => !isAhead(event)).reverse();
    renew(this.ahead, [minute, ahead], () =>
      ahead.length === 0
        ? empty("Nothing is planned", "Announce what you know of before it happens.")
        : this.table(ahead, now),
    );
    renew(this.past, past, () => (past.length === 0 ? empty("None yet") : this.table(past.slice(0, 100), now)));
  }

  table(items, now) {
    const state = (event) =>
      event.cancelled
        ? badge("called off")
        : at(event.start) > now
          ? badge(relative(event.start, now), "accent")
          : at(event.end) < now
            ? badge("over")
            : badge("now", "warn");
    return h(
      "div",
      { class: "scroll" },
      h(
        "table",
        null,
        columns("Event", "Kind", "For", "Demand", "From", "To", "", ""),
        h(
          "tbody",
          null,
          items.map((event) =>
            h(
              "tr",
              null,
              h("td", null, h("b", null, event.id)),
              h("td", null, event.kind),
              h("td", null, `${event.scope.key} ${event.scope.value}`),
              h("td", { class: "nowrap" }, `× ${number(event.uplift)}`),
              h("td", { class: "nowrap", title: moment(event.start) }, when(event.start, now)),
              h(
                "td",
                { class: "nowrap", title: moment(event.end) },
                `${when(event.end, event.start)} (${duration((at(event.end) - at(event.start)) / 1000)})`,
              ),
              h("td", null, state(event)),
              h(
                "td",
                { class: "num" },
                mayOrder(this.me) &&
                  !event.cancelled &&
                  at(event.end) > now &&
                  h(
                    "button",
                    { class: "button", "aria-label": `Call off ${event.id}`, onclick: () => this.cancel(event) },
                    "Call off",
                  ),
              ),
            ),
          ),
        ),
      ),
    );
  }

  async announce() {
    // The fields are local time of this clock; the fleet's own time is the place to start from.
    const now = Number.isFinite(live.now) ? live.now : Date.now();
    const local = (time) => new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    const input = (name, attributes) =>
      h("input", { name, required: true, maxlength: 256, autocomplete: "off", ...attributes });
    const done = await ask(
      "Announce an event",
      [
        field("Name", input("id", { placeholder: "spring-sale" }), "The same name again changes it."),
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
          field("Named", input("value")),
        ),
        h(
          "div",
          { class: "pair" },
          field("From", input("start", { type: "datetime-local", value: local(now + 3_600_000) })),
          field("To", input("end", { type: "datetime-local", value: local(now + 7_200_000) })),
        ),
        h(
          "div",
          { class: "pair" },
          field("Kind", input("kind", { value: "campaign" })),
          field(
            "Demand, times the usual",
            input("uplift", { type: "number", min: 0, max: 1000, step: "0.05", value: 1.5 }),
          ),
        ),
      ],
      {
        confirm: "Announce",
        submit: (form) =>
          send("PUT", path("events", form.get("id")), {
            start: new Date(form.get("start")).toISOString(),
            end: new Date(form.get("end")).toISOString(),
            scope: { key: form.get("key"), value: form.get("value") },
            kind: form.get("kind"),
            uplift: Number(form.get("uplift")),
          }),
      },
    );
    if (done) toast(`${done.id} is announced`);
    this.refresh();
  }

  async cancel(event) {
    const done = await ask(`Call off ${event.id}?`, h("p", null, "Forecasts go back to what they were without it."), {
      confirm: "Call off",
      tone: "danger",
      submit: () => send("DELETE", path("events", event.id)),
    });
    if (done) toast(`${event.id} is called off`);
    this.refresh();
  }
}
