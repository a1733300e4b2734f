// The parts that pages are put together from.

import { h, replace, Keyed, text } from "./dom.js";

/** Head of a page: title, one line about it, controls. */
export const head = (title, lead, ...controls) =>
  h(
    "header",
    { class: "head" },
    h("div", { class: "head-text" }, h("h1", { tabindex: "-1" }, title), lead && h("p", { class: "lead" }, lead)),
    controls.length > 0 && h("div", { class: "controls" }, controls),
  );

/** A section with a title. */
export const section = (title, { controls, note, name } = {}, ...children) =>
  h(
    "section",
    { class: `card${name ? ` ${name}` : ""}`, "aria-label": title },
    h(
      "div",
      { class: "card-head" },
      h("h2", null, title),
      note && h("p", { class: "note" }, note),
      controls && h("div", { class: "controls" }, controls),
    ),
    children,
  );

/** A small mark with a meaning: plain, accent, danger, warn or ok. */
export const badge = (label, tone = "plain", title) => h("span", { class: `badge ${tone}`, title }, label);

/** A number with its name; `set` changes it. */
export class Stat {
  constructor(label, hint) {
    this.value = h("dd", { class: "stat-value" }, "–");
    this.note = h("dd", { class: "stat-note" });
    this.node = h("div", { class: "stat", title: hint }, h("dt", null, label), this.value, this.note);
  }

  set(value, note = "", tone = "") {
    text(this.value, value);
    text(this.note, note);
    this.node.className = `stat ${tone}`;
  }
}

export const stats = (...list) =>
  h(
    "dl",
    { class: "stats" },
    list.map((stat) => stat.node),
  );

/** A row of choices of which one holds; works as radio buttons do. */
export function choices(label, options, value, onChange) {
  const name = `choice-${label}-${Math.random().toString(36).slice(2)}`;
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", { class: "hidden" }, label),
    options.map(([option, title]) =>
      h(
        "label",
        null,
        h("input", {
          type: "radio",
          name,
          value: option,
          checked: option === value,
          onchange: () => onChange(option),
        }),
        h("span", null, title),
      ),
    ),
  );
}

/** The head of a table; names that begin with `>` are of columns of numbers. */
export const columns = (...names) =>
  h(
    "thead",
    null,
    h(
      "tr",
      null,
      names.map((name) =>
        name === ""
          ? h("td")
          : h("th", { scope: "col", class: name.startsWith(">") ? "num" : null }, name.replace(/^>/, "")),
      ),
    ),
  );

/** A labelled field. */
export const field = (label, control, note) =>
  h(
    "label",
    { class: "field" },
    h("span", { class: "field-label" }, label),
    control,
    note && h("span", { class: "field-note" }, note),
  );

export const select = (options, value, onChange, label) =>
  h(
    "select",
    { "aria-label": label, onchange: (event) => onChange(event.target.value) },
    options.map(([option, title]) => h("option", { value: option, selected: option === value }, title)),
  );

/** What a place says that holds nothing. */
export const empty = (title, about, ...more) =>
  h("div", { class: "state" }, h("p", { class: "state-title" }, title), about && h("p", null, about), more);

/** What a place says that could not be filled; with `tag` h1 it is a whole page. */
export const failure = (error, retry, tag = "p") =>
  h(
    "div",
    { class: "state failed", role: "alert" },
    h(
      tag,
      { class: "state-title", tabindex: tag === "h1" && "-1" },
      error.status === 404 ? "Not found" : "This could not be loaded",
    ),
    h("p", null, sentence(error.message)),
    retry && h("button", { class: "button", onclick: retry }, "Try again"),
  );

const sentence = (message) => message.charAt(0).toUpperCase() + message.slice(1).replace(/([^.!?])$/, "$1.");

/** Grey lines where content is about to be. */
export const loading = (lines = 4) =>
  h(
    "div",
    { class: "skeleton", role: "status", "aria-label": "Loading" },
    Array.from({ length: lines }, () => h("div", { class: "bone" })),
  );

/** Loads into a place, with all that can come of it. `show` gets what `read` found. */
export async function load(place, signal, read, show, lines) {
  replace(place, loading(lines));
  try {
    const found = await read();
    if (signal.aborted) return;
    replace(place);
    show(found);
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    if (!("status" in error)) console.error(error);
    const retry = () => load(place, signal, read, show, lines);
    replace(place, failure(error, retry, place.tagName === "MAIN" ? "h1" : "p"));
    // What a server does not know while it still reads the topics may be there once it has.
    if (error.status === 404) document.addEventListener("caughtup", retry, { once: true, signal });
  }
}

/** Calls at most once in so many milliseconds (a number, or what tells it), the last call included, one at a time. */
export function throttle(work, milliseconds, signal) {
  const pause = typeof milliseconds === "function" ? milliseconds : () => milliseconds;
  let timer = 0;
  let last = 0;
  let running = false;
  let again = false;
  const run = async () => {
    timer = 0;
    if (running) {
      again = true;
      return;
    }
    running = true;
    last = performance.now();
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError" && !("status" in error)) console.error(error);
    }
    running = false;
    if (again) {
      again = false;
      call();
    }
  };
  const call = () => {
    if (timer || signal?.aborted) return;
    timer = setTimeout(run, Math.max(0, last + pause() - performance.now()));
  };
  signal?.addEventListener("abort", () => clearTimeout(timer));
  return call;
}

/** A dialog that asks; resolves with what `submit` returned, or null. */
export function ask(title, body, { confirm = "OK", tone = "primary", submit = async () => true } = {}) {
  return new Promise((resolve) => {
    const problem = h("p", { class: "problem", role: "alert" });
    const button = h("button", { class: `button ${tone}`, type: "submit" }, confirm);
    const dialog = h(
      "dialog",
      {
        "aria-label": title,
        onclose: () => {
          dialog.remove();
          resolve(result);
        },
      },
      h(
        "form",
        {
          onsubmit: async (event) => {
            event.preventDefault();
            button.disabled = true;
            text(problem, "");
            try {
              result = await submit(new FormData(event.target));
              dialog.close();
            } catch (error) {
              text(problem, error.message);
              button.disabled = false;
            }
          },
        },
        h("h2", null, title),
        body,
        problem,
        h(
          "div",
          { class: "dialog-foot" },
          h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
          button,
        ),
      ),
    );
    let result = null;
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A word at the edge of the page that goes by itself. */
export function toast(message, tone = "plain") {
  let place = document.querySelector(".toasts");
  if (!place) {
    place = document.body.appendChild(h("div", { class: "toasts", role: "status" }));
  }
  const note = h("p", { class: `toast ${tone}` }, message);
  place.append(note);
  setTimeout(() => note.remove(), 6000);
}

/** A list of rows of one height of which only those in sight exist. */
export class VirtualList {
  constructor({ label, rowHeight, key, create, onEnd }) {
    this.rowHeight = rowHeight;
    this.items = [];
    this.onEnd = onEnd;
    this.space = h("ul", { class: "virtual-space", "aria-label": label });
    this.node = h("div", { class: "virtual", onscroll: () => this.draw() }, this.space);
    this.rows = new Keyed(
      this.space,
      (place) => key(place.item),
      (place) => {
        const part = create(place.item);
        const node = h("li", { class: "virtual-row" }, part.node);
        return {
          node,
          update: ({ item, index }) => {
            node.style.transform = `translateY(${index * rowHeight}px)`;
            node.setAttribute("aria-setsize", this.total ?? this.items.length);
            node.setAttribute("aria-posinset", index + 1);
            part.update(item);
          },
        };
      },
    );
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** Shows these; `total` if there are more than are known yet. */
  update(items, total) {
    this.items = items;
    this.total = total;
    this.space.style.height = `${items.length * this.rowHeight}px`;
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.node;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - 6);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / this.rowHeight) + 6);
    const places = [];
    for (let index = first; index < last; index += 1) places.push({ item: this.items[index], index });
    this.rows.update(places);
    if (last === this.items.length) this.onEnd?.();
  }
}
