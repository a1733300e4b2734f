// Numbers and times for people. What is not known is an en dash.

export const unknown = "–";
const isKnown = (value) => typeof value === "number" && Number.isFinite(value);

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A quantity, three digits that count. */
export const number = (value) => {
  if (!isKnown(value)) return unknown;
  const size = Math.abs(value);
  if (size >= 10_000) return compact.format(value);
  return size >= 100 ? whole.format(value) : plain.format(value);
};

/** A count. */
export const count = (value) => (isKnown(value) ? whole.format(value) : unknown);

/** A ratio of 0…1 as per cent. */
export const percent = (value, digits = 0) => (isKnown(value) ? `${(value * 100).toFixed(digits)} %` : unknown);

/** Money, in whatever currency prices are declared. */
export const money = (value) => (isKnown(value) ? value.toFixed(Math.abs(value) >= 1000 ? 0 : 2) : unknown);

/** A signed change. */
export const signed = (value, show = number) =>
  !isKnown(value) ? unknown : value > 0 ? `+${show(value)}` : value < 0 ? `−${show(-value)}` : show(0);

/** A length of time. */
export const duration = (seconds) => {
  if (!isKnown(seconds)) return unknown;
  const size = Math.abs(seconds);
  if (size < 0.001) return `${plain.format(size * 1e6)} µs`;
  if (size < 1) return `${plain.format(size * 1000)} ms`;
  if (size < 90) return `${plain.format(size)} s`;
  if (size < 5400) return `${Math.round(size / 60)} min`;
  if (size < 172_800) return `${plain.format(Math.round(size / 360) / 10)} h`;
  return `${plain.format(Math.round(size / 8640) / 10)} days`;
};

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

/** Milliseconds of an RFC 3339 time; NaN for none. */
export const at = (time) => (time ? Date.parse(time) : NaN);

const show = (format) => (time) => {
  const moment = typeof time === "number" ? time : at(time);
  return Number.isFinite(moment) ? format.format(moment) : unknown;
};

/** The clock that all times are told by: CET */
export const zone = (time) =>
  full.formatToParts(Number.isFinite(time) ? time : Date.now()).find((part) => part.type === "timeZoneName")?.value ?? "";

/** 14:32 */
export const hour = show(clock);
/** 14:32:05 */
export const second = show(clockSeconds);
/** 19 Mar */
export const date = show(day);
/** The whole of it, for titles. */
export const moment = show(full);

/** 14:32, with the day where that is not the day of `now`. */
export const when = (time, now) => {
  const [a, b] = [typeof time === "number" ? time : at(time), typeof now === "number" ? now : at(now)];
  if (!Number.isFinite(a)) return unknown;
  return Number.isFinite(b) && date(a) !== date(b) ? `${date(a)} ${hour(a)}` : hour(a);
};

/** in 12 min, 3 min ago, now. */
export const relative = (time, now) => {
  const seconds = ((typeof time === "number" ? time : at(time)) - (typeof now === "number" ? now : at(now))) / 1000;
  if (!Number.isFinite(seconds)) return unknown;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(seconds)} ago`;
};

/** One of these, many of those. */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** camelCase as words. */
export const words = (name) => String(name ?? "").replace(/([a-z0-9])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
