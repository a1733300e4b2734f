// Elements made from data. Text becomes text nodes and never markup, whatever stands in a name or a tag.

const svgSpace = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element. Attributes that begin with `on` are listeners; children are nodes or text. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(svgSpace, tag), attributes, children);

/** Puts children in place of what an element holds. */
export const replace = (node, ...children) => {
  node.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
};

/** Fills a place anew only where what it shows has changed, so that focus and selection outlive live updates. */
export const renew = (place, shown, make) => {
  const key = JSON.stringify(shown);
  if (place.shown === key) return;
  place.shown = key;
  replace(place, make());
};

/** Sets text only where it differs, so that nothing is announced or laid out anew without need. */
export const text = (node, value) => {
  if (node.textContent !== value) node.textContent = value;
};

/**
 * Keeps a container's children in the order of `items`: a child is made once per key and updated afterwards, so focus,
 * hover and selection outlive live updates. `create` returns `{node, update}`.
 */
export class Keyed {
  constructor(container, key, create) {
    Object.assign(this, { container, key, create, parts: new Map() });
  }

  update(items) {
    const seen = new Set();
    const focused = this.container.contains(document.activeElement) ? document.activeElement : null;
    let place = this.container.firstChild;
    for (const item of items) {
      const key = this.key(item);
      if (seen.has(key)) continue;
      seen.add(key);
      let part = this.parts.get(key);
      if (!part) {
        part = this.create(item);
        this.parts.set(key, part);
      }
      part.update?.(item);
      if (part.node === place) place = place.nextSibling;
      else this.container.insertBefore(part.node, place);
    }
    for (const [key, part] of this.parts) {
      if (seen.has(key)) continue;
      part.node.remove();
      this.parts.delete(key);
    }
    // An element that changes its place loses the focus.
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }
}

const palette = new Map();
addEventListener("themechange", () => palette.clear());

/** The colour of a custom property as the theme has it now, for canvases. */
export function color(name) {
  if (palette.has(name)) return palette.get(name);
  const probe = document.body.appendChild(h("i", { class: "probe" }));
  probe.style.color = `var(${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  palette.set(name, value);
  return value;
}
