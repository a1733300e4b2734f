// The shell around all pages: navigation, who is signed in, whether what is shown is live.

import { h, replace, text } from "./parts/dom.js";
import { get, session, path } from "./parts/api.js";
import { live } from "./parts/live.js";
import { duration, hour, second, date } from "./parts/format.js";
import { failure, loading } from "./parts/ui.js";
import { signIn } from "./pages/signin.js";
import { fleet } from "./pages/fleet.js";
import { twin } from "./pages/twin.js";
import { graph } from "./pages/graph.js";
import { decisions } from "./pages/decisions.js";
import { policies } from "./pages/policies.js";
import { events } from "./pages/events.js";
import { drift } from "./pages/drift.js";
import { pipeline } from "./pages/pipeline.js";

const pages = [
  { name: "fleet", title: "Fleet", show: fleet },
  { name: "twins", title: "Twin", show: twin, isHidden: true },
  { name: "graph", title: "Graph", show: graph },
  { name: "decisions", title: "Decisions", show: decisions },
  { name: "policies", title: "Policies", show: policies },
  { name: "events", title: "Planned events", show: events },
  { name: "drift", title: "Drift", show: drift },
  { name: "pipeline", title: "Pipeline", show: pipeline },
];

const main = h("main", { id: "main" });
const banner = h("div", { class: "banner", role: "status" });
const lineText = h("span", { class: "line-text" });
const line = h("p", { class: "line" }, h("i", { class: "dot", "aria-hidden": "true" }), lineText);
const waiting = h("span", { class: "count" });
const links = pages
  .filter((page) => !page.isHidden)
  .map((page) =>
    h("a", { href: `#/${page.name}`, "data-page": page.name }, page.title, page.name === "decisions" && waiting),
  );
const who = h("span", { class: "who" });
const out = h("button", { class: "quiet", onclick: leave }, "Sign out");
let leavePage = null;
let hasShown = false;
let catchingUp = "";
/** After so long without a later sample anywhere, something does not send any more. */
const quietMilliseconds = 180_000;
let healthTimer = 0;
let me = { name: "", role: "viewer", authenticated: false };

const search = h(
  "form",
  {
    class: "find",
    role: "search",
    onsubmit: (event) => {
      event.preventDefault();
      const name = event.target.elements.q.value.trim();
      if (name) go(name);
    },
  },
  h("input", {
    name: "q",
    type: "search",
    placeholder: "Find a twin",
    "aria-label": "Find a twin",
    list: "twin-names",
    autocomplete: "off",
    spellcheck: "false",
    oninput: suggest,
  }),
  h("datalist", { id: "twin-names" }),
);

document.body.prepend(
  h(
    "a",
    {
      class: "skip",
      href: "#main",
      onclick: (event) => {
        event.preventDefault();
        main.querySelector("h1")?.focus();
      },
    },
    "Skip to content",
  ),
  h(
    "header",
    { class: "side" },
    h(
      "a",
      { class: "brand", href: "#/fleet" },
      h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }),
      "Twinscale",
    ),
    search,
    h("nav", { "aria-label": "Pages" }, links),
    h(
      "div",
      { class: "side-foot" },
      line,
      h(
        "div",
        { class: "side-row" },
        who,
        out,
        h(
          "button",
          {
            class: "quiet",
            title: "Light or dark",
            onclick: () => window.twinscaleTheme.toggle(),
          },
          "Theme",
        ),
      ),
    ),
  ),
  h("div", { class: "stage" }, banner, main),
);

async function suggest(event) {
  const part = event.target.value.trim();
  if (!part) return;
  try {
    const page = await get("/v1/twins", { q: part, limit: 8 });
    replace(
      document.getElementById("twin-names"),
      page.items.map((item) => h("option", { value: item.resource })),
    );
  } catch {
    /* no suggestions then */
  }
}

async function go(name) {
  try {
    const page = await get("/v1/twins", { q: name, limit: 1 });
    location.hash = `#/twins/${encodeURIComponent(
      page.items.find((item) => item.resource === name)?.resource ?? page.items[0]?.resource ?? name,
    )}`;
  } catch {
    location.hash = `#/twins/${encodeURIComponent(name)}`;
  }
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  search.elements.q.focus();
});

// MARK: the line

function showLine() {
  const { state, now, advancedAt } = live;
  const time = Number.isFinite(now) ? `${date(now)} ${hour(now)}` : "";
  const isQuiet = state === "live" && time !== "" && Date.now() - advancedAt > quietMilliseconds;
  const words = {
    live: time ? `Live, ${time}` : "Live, no telemetry yet",
    connecting: "Connecting …",
    lost: "Not live",
    off: "Signed out",
  };
  line.dataset.state = isQuiet ? "quiet" : state;
  text(lineText, words[state]);
  document.body.classList.toggle("is-stale", state === "lost");
  if (state === "lost")
    tell(`The connection is lost and tried again by itself. What you see is of ${second(now)}.`, true);
  else if (state !== "live") tell("");
  else if (catchingUp) tell(catchingUp);
  else if (isQuiet)
    tell(`No telemetry has come for ${duration((Date.now() - advancedAt) / 1000)}. What you see is of ${time}.`);
  else tell("");
}

/** Says something above all pages; nothing without words. */
function tell(notice, mayRetry = false) {
  if (!notice) return banner.firstChild && replace(banner);
  if (!banner.firstChild) {
    replace(banner, h("p"), h("button", { class: "button", onclick: () => live.start() }, "Try now"));
  }
  text(banner.firstChild, notice);
  banner.lastChild.hidden = !mayRetry;
}

/** Says while the server has not read all of the topics yet. */
async function watchHealth() {
  clearTimeout(healthTimer);
  try {
    const { ready, reason } = await (await fetch("/health")).json();
    if (ready && catchingUp) document.dispatchEvent(new Event("caughtup"));
    catchingUp = ready
      ? ""
      : `The server is catching up, numbers are not complete yet: ${reason ?? "no reason given"}.`;
  } catch {
    catchingUp = "";
  }
  showLine();
  if (live.state === "live") healthTimer = setTimeout(watchHealth, catchingUp ? 2_000 : 30_000);
}

live.on("state", (state) => {
  showLine();
  if (state === "live") watchHealth();
});
live.on("fleet", (report) => {
  showLine();
  showWaiting(report.proposals);
});
setInterval(showLine, 10_000);

function showWaiting(number) {
  text(waiting, number > 0 ? String(number) : "");
  waiting.setAttribute("aria-label", number > 0 ? `${number} wait for approval` : "");
}

// MARK: routes

function route() {
  const [place, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = place.split("/");
  let params = [];
  try {
    params = rest.map(decodeURIComponent);
  } catch {
    /* a link that is none */
  }
  return { page: pages.find((page) => page.name === name) ?? pages[0], params, query: new URLSearchParams(query) };
}

async function show() {
  leavePage?.abort();
  leavePage = new AbortController();
  const { signal } = leavePage;
  const { page, params, query } = route();
  for (const link of links) {
    if (link.dataset.page === page.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  live.follow(page.name === "twins" && params[0] ? [params[0]] : []);
  document.title = `${page.title} · Twinscale`;
  replace(main, loading(6));
  main.className = `page-${page.name}`;
  scrollTo(0, 0);
  try {
    await page.show({ root: main, params, query, signal, me });
  } catch (error) {
    if (signal.aborted) return;
    if (!("status" in error)) console.error(error);
    replace(main, failure(error, show, "h1"));
  }
  // A page that one went to is read from its title on; the first one is met where every page begins.
  if (!signal.aborted && hasShown) main.querySelector("h1")?.focus({ preventScroll: true });
  hasShown = true;
}

async function start() {
  if (!window.d3) {
    return replace(
      main,
      failure(
        new Error(
          "The drawing library d3 is not there. Install Debian's node-d3 beside the server, or name its file with api.d3.",
        ),
        null,
        "h1",
      ),
    );
  }
  try {
    me = await get(path("me"));
  } catch (error) {
    if (error.status === 401) return;
    return replace(main, failure(error, start, "h1"));
  }
  document.body.classList.remove("is-out");
  text(who, me.authenticated ? `${me.name}, ${me.role}` : "No sign-in");
  out.hidden = !me.authenticated;
  live.start();
  await show();
}

function leave() {
  session.token = null;
  live.stop();
  session.onUnauthorized();
}

session.onUnauthorized = () => {
  leavePage?.abort();
  live.stop();
  document.body.classList.add("is-out");
  signIn(main, start);
};
addEventListener("hashchange", () => {
  if (live.state !== "off") show();
});
start();
