// How twins are shown wherever they are listed.

import { h, text } from "./dom.js";
import { count, percent, duration, money, unknown } from "./format.js";

/** Where a twin's page is. */
export const twinLink = (resource) => `#/twins/${encodeURIComponent(resource)}`;

/** A step of the heat scale for a use of capacity: 4 is a shortfall. */
export const heat = (use) =>
  typeof use !== "number" ? -1 : use > 1 ? 4 : use > 0.9 ? 3 : use > 0.75 ? 2 : use > 0.5 ? 1 : 0;

export const heatNames = ["below 50 %", "50–75 %", "75–90 %", "90–100 %", "shortfall"];

/** Units now and wanted. */
export function units(now, wanted) {
  if (typeof wanted !== "number" || wanted === now) return [h("b", null, count(now))];
  return [count(now), " → ", h("b", { class: wanted > now ? "more" : "" }, count(wanted))];
}

/** The most a bar shows; beyond it the bar is full. */
const useMax = 1.5;

/** A bar of use against ready capacity, with the target and the full mark. */
function useBar() {
  const fill = h("span", { class: "use-fill" });
  const target = h("span", { class: "use-mark", title: "What the policy aims at" });
  const full = h("span", { class: "use-mark full", title: "All that is ready" });
  full.style.left = `${100 / useMax}%`;
  const value = h("span", { class: "use-value" });
  const node = h(
    "div",
    { class: "use" },
    h("div", { class: "use-track", "aria-hidden": "true" }, fill, target, full),
    value,
  );
  return {
    node,
    update(risk) {
      const use = risk?.utilisation;
      node.className = `use h${heat(use)}`;
      fill.style.width = `${(Math.min(use ?? 0, useMax) / useMax) * 100}%`;
      target.hidden = typeof risk?.target !== "number";
      target.style.left = `${((risk?.target ?? 0) / useMax) * 100}%`;
      text(value, percent(use));
    },
  };
}

/** A row of the fleet. */
export function twinRow(twin) {
  const name = h("a", { href: twinLink(twin.resource), title: twin.resource }, twin.resource);
  const place = h("small");
  const bar = useBar();
  const when = h("span", { class: "muted" });
  const number = h("span", { class: "units" });
  const state = h("span");
  const price = h("span", { class: "num muted" });
  const node = h(
    "div",
    { class: "risk" },
    h("div", { class: "risk-name" }, name, place),
    bar.node,
    when,
    number,
    state,
    price,
  );
  let shownUnits = "";
  let shownState = "";
  return {
    node,
    update(line) {
      text(place, [line.locality, line.class].filter(Boolean).join(" · ") || unknown);
      bar.update(line.risk);
      text(when, line.risk ? (line.risk.atSeconds < 30 ? "now" : `in ${duration(line.risk.atSeconds)}`) : "");
      const unitsKey = `${line.readyUnits} ${line.desiredUnits}`;
      if (unitsKey !== shownUnits) {
        shownUnits = unitsKey;
        number.replaceChildren(...units(line.readyUnits, line.desiredUnits));
      }
      const [label, tone, title] = twinState(line);
      if (label !== shownState) {
        shownState = label;
        state.replaceChildren(h("span", { class: `badge ${tone}`, title }, label));
      }
      text(price, money(line.pricePerHour));
    },
  };
}

/** The one thing to know about a twin's state. */
export function twinState(line) {
  if (line.quality === "missing") return ["no data", "danger", "Its telemetry is missing; nothing scales it in"];
  if (line.quality === "stale") return ["stale", "warn", "Its telemetry is late"];
  if (line.distrusted) return ["distrusted", "warn", "Its forecasts missed; the reactive rule leads"];
  if (!line.mode) return ["unmanaged", "plain", "No policy matches it"];
  return [line.mode, line.mode === "act" ? "accent" : "plain", `Policy ${line.policy ?? unknown}`];
}

/** The units that were ready at a decision, whatever was under way. */
export const present = (data) => data.inputs?.readyUnits ?? data.current;
