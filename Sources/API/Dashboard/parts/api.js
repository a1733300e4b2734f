// The server's API: JSON in and out, problems as errors, the token of whoever is signed in.

const key = "twinscale.token";
let token = null;
try {
  token = sessionStorage.getItem(key);
} catch {
  /* a browser without storage asks again */
}

/** What the server refused, in its words. */
class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code });
  }
}

export const session = {
  get token() {
    return token;
  },
  set token(value) {
    token = value;
    try {
      if (value) sessionStorage.setItem(key, value);
      else sessionStorage.removeItem(key);
    } catch {
      /* kept in memory */
    }
  },
  /** Called when the server asks who it is. */
  onUnauthorized() {},
};

const headers = () => (token ? { authorization: `Bearer ${token}` } : {});

/** A path from parts, each escaped. */
export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    /* no problem document */
  }
  if (response.status === 401) session.onUnauthorized();
  return new Problem(response.status, body.code ?? "unknown", body.detail ?? body.title ?? `status ${response.status}`);
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server cannot be reached.");
  }
  if (!response.ok) throw await problem(response);
  return response.status === 204 ? null : response.json();
}

const withQuery = (url, query) => {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") search.append(name, value);
  }
  const text = search.toString();
  return text ? `${url}?${text}` : url;
};

/** Reads. */
export const get = (url, query, signal) => ask(withQuery(url, query), { headers: headers(), signal });

/** Writes. */
export const send = (method, url, body, { query, extra, signal } = {}) =>
  ask(withQuery(url, query), {
    method,
    headers: { ...headers(), ...(body === undefined ? {} : { "content-type": "application/json" }), ...extra },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });

/** Opens a stream of server-sent events; the body is the caller's to read. */
export async function open(url, query, signal) {
  const response = await fetch(withQuery(url, query), {
    headers: { ...headers(), accept: "text/event-stream" },
    signal,
  });
  if (!response.ok) throw await problem(response);
  return response.body;
}
