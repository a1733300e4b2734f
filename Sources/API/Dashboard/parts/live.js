// One stream of events for the whole page. It is read with fetch, as EventSource cannot carry a token.

import { open } from "./api.js";

/** The server says something at least every 15 seconds; after so long without a word the line is dead. */
const silenceMilliseconds = 40_000;
const waitMaxMilliseconds = 15_000;

const listeners = new Map();
let twins = [];
let abort = null;
let attempt = 0;
let timer = 0;
let watchdog = 0;

export const live = {
  /** connecting, live, lost, off */
  state: "off",
  /** Event time that the pipeline has reached, milliseconds. */
  now: NaN,
  /** This clock's time of when that moved last. */
  advancedAt: Date.now(),

  /** Calls back for each event of a name (`state` for the line itself) until the signal aborts. */
  on(name, callback, signal) {
    if (!listeners.has(name)) listeners.set(name, new Set());
    listeners.get(name).add(callback);
    signal?.addEventListener("abort", () => listeners.get(name).delete(callback));
  },

  /** Follows these twins. */
  follow(names) {
    if (names.join("\n") === twins.join("\n")) return;
    twins = names;
    if (live.state !== "off") live.start();
  },

  start() {
    clearTimeout(timer);
    abort?.abort();
    abort = new AbortController();
    if (live.state !== "live") change("connecting");
    read(abort.signal);
  },

  stop() {
    clearTimeout(timer);
    clearTimeout(watchdog);
    abort?.abort();
    change("off");
  },
};

function emit(name, data) {
  for (const callback of listeners.get(name) ?? []) callback(data);
}

function change(state) {
  if (live.state === state) return;
  live.state = state;
  emit("state", state);
}

function heard(signal) {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    if (!signal.aborted) lost();
  }, silenceMilliseconds);
}

function lost() {
  abort?.abort();
  clearTimeout(watchdog);
  const wait = Math.min(waitMaxMilliseconds, 1000 * 2 ** attempt) * (0.75 + Math.random() / 2);
  attempt += 1;
  change("lost");
  timer = setTimeout(live.start, wait);
}

async function read(signal) {
  try {
    const body = await open("/v1/stream", { twin: twins.join(",") }, signal);
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    heard(signal);
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) break;
      heard(signal);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) take(block);
    }
  } catch (error) {
    if (error.status === 401) return live.stop();
  }
  if (!signal.aborted) lost();
}

function take(block) {
  let name = "";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!name || !data) return;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return;
  }
  if (name === "hello" || name === "fleet") {
    const time = Date.parse(value.time);
    if (Number.isFinite(time) && time !== live.now) {
      live.now = time;
      live.advancedAt = Date.now();
    }
  }
  if (name === "hello") {
    attempt = 0;
    change("live");
  }
  emit(name, value);
}
