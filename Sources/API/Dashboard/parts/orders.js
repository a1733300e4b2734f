// Orders that people give.

import { h } from "./dom.js";
import { path, send } from "./api.js";
import { live } from "./live.js";
import { ask, field, toast } from "./ui.js";

/** Whether somebody's role lets them give orders. */
export const mayOrder = (me) => me.role === "operator" || me.role === "admin";

/** Sends a command and says so. */
async function command(body, done) {
  try {
    await send("POST", path("commands"), body);
    toast(done);
  } catch (error) {
    toast(error.message, "danger");
  }
}

/** Pause and resume for a subject: `{resource}` or `{policy}`. */
export function pauseButtons(subject, me, then = () => {}) {
  if (!mayOrder(me)) return null;
  const [name] = Object.values(subject);
  const button = (verb, title, done) =>
    h(
      "button",
      {
        class: "button",
        onclick: async () => {
          await command({ verb, ...subject }, `Scaling of ${name} ${done}`);
          then();
        },
      },
      title,
    );
  return [button("pause", "Pause", "pauses"), button("resume", "Resume", "goes on")];
}

/** Everything that may be ordered for one twin. */
export function orderButtons(resource, me, then) {
  if (!mayOrder(me)) return null;
  return [
    pauseButtons({ resource }, me, then),
    h(
      "button",
      {
        class: "button",
        title: "Order exactly, at least or at most so many units, until a time that you choose",
        onclick: () => setUnits(resource, then),
      },
      "Set units",
    ),
  ];
}

async function setUnits(resource, then) {
  // Deciders live in event time, which need not be this clock's.
  const now = Number.isFinite(live.now) ? live.now : Date.now();
  const verbs = { set: "exactly", floor: "at least", ceiling: "at most" };
  const done = await ask(
    `Units of ${resource}`,
    [
      field(
        "Hold it",
        h(
          "select",
          { name: "verb" },
          Object.entries(verbs).map(([verb, title]) => h("option", { value: verb }, title)),
        ),
      ),
      field("Units", h("input", { name: "value", type: "number", min: 1, max: 1000000, required: true })),
      field(
        "For minutes",
        h("input", { name: "minutes", type: "number", min: 1, max: 100000, value: 60, required: true }),
        "After that the policy decides again.",
      ),
      field("Why", h("input", { name: "reason", maxlength: 1024 })),
    ],
    {
      confirm: "Order",
      submit: (form) =>
        send("POST", path("commands"), {
          verb: form.get("verb"),
          resource,
          value: Number(form.get("value")),
          until: new Date(now + Number(form.get("minutes")) * 60_000).toISOString(),
          ...(form.get("reason") ? { reason: form.get("reason") } : {}),
        }),
    },
  );
  if (done) {
    toast(`Ordered for ${resource}`);
    then();
  }
}

/** Buttons that answer a proposal; `done` is called once the answer is sent. */
export function answerButtons(proposal, me, done) {
  if (!mayOrder(me)) return h("span", { class: "note" }, "Needs the role operator");
  const button = (verb, title, tone) =>
    h(
      "button",
      {
        class: `button ${tone}`,
        onclick: async (event) => {
          event.target.disabled = true;
          await command({ verb, action: proposal }, verb === "approve" ? "Approved" : "Rejected");
          done();
        },
      },
      title,
    );
  return [button("approve", "Approve", "primary"), button("reject", "Reject", "")];
}
