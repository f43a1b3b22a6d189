// The API: calls with what signs in, and polls that keep what was last known while something does not answer.

const KEY = "cabferry-function-key";
const SLOWEST_SECONDS = 60;
const polls = new Set();

export const session = { signIn: "key", name: null, roles: ["look", "ask"], login: null, logout: null };

/** A call that was answered with an error; `detail` is what the app says of it, and what to do. */
export class CallError extends Error {
  constructor(status, detail, wait) {
    super(detail);
    this.status = status;
    this.wait = wait;
  }
}

/** Keep the function key until this tab is closed; it goes into a header, and never into an address. */
export function useKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Ask who is signed in; where App Service does not, the function key is what opens the API. */
export async function loadSession() {
  const answer = await fetch("/api/dashboard/me", { cache: "no-store" });
  if (!answer.ok) throw await errorOf(answer);
  Object.assign(session, await answer.json());
}

/** Send a request, and return the answer whatever its status is. */
export async function send(method, path, { body, headers = {} } = {}) {
  const key = sessionStorage.getItem(KEY);
  const base = session.signIn === "entra" ? "/api/dashboard/calls/" : "/api/";
  const all = { ...headers, ...(key && session.signIn === "key" ? { "x-functions-key": key } : {}) };
  if (body !== undefined) all["Content-Type"] = "application/json";
  try {
    return await fetch(base + path, {
      method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
    });
  } catch {
    throw new CallError(0, "the app cannot be reached");
  }
}

/** Return the error that an answer is. */
export async function errorOf(answer) {
  let detail = "";
  try {
    detail = (await answer.json()).detail;
  } catch {
    // Not the app's own answer: the platform's has no body that says more than the status.
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("sign-in-needed"));
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  return new CallError(answer.status, detail || `the app answered with status ${answer.status}`, wait);
}

export async function get(path) {
  const answer = await send("GET", path);
  if (!answer.ok) throw await errorOf(answer);
  return answer.json();
}

export async function post(path, body) {
  const answer = await send("POST", path, { body });
  if (!answer.ok) throw await errorOf(answer);
  return answer.status === 204 ? null : answer.json();
}

/** Join a path and those parameters of its query that say something. */
export function address(path, query) {
  const said = Object.entries(query).filter(([, value]) => value);
  return said.length ? `${path}?${new URLSearchParams(said)}` : path;
}

/** Ask for something again and again, with its ETag; slower while it fails, and not at all while nobody looks. */
export class Poll {
  constructor(path, seconds, show) {
    this.path = path;
    this.seconds = seconds;
    this.show = show;
    this.error = null;
    this.knownAt = null;
    this.failures = 0;
  }

  start() {
    polls.add(this);
    this.soon();
    return this;
  }

  stop() {
    polls.delete(this);
    clearTimeout(this.timer);
    this.error = null;
    tellTrouble();
  }

  /** Ask at once, of another path where one is given. */
  soon(path) {
    if (path !== undefined && path !== this.path) {
      this.path = path;
      this.etag = null;
      this.knownAt = null;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 0);
  }

  async ask() {
    const path = this.path;
    try {
      const answer = await send("GET", path, { headers: this.etag ? { "If-None-Match": this.etag } : {} });
      if (answer.status !== 304) {
        if (!answer.ok) throw await errorOf(answer);
        const body = await answer.json();
        if (path !== this.path || !polls.has(this)) return;
        this.etag = answer.headers.get("ETag");
        this.show(body);
      }
      this.knownAt = new Date();
      this.error = null;
      this.failures = 0;
    } catch (error) {
      if (path !== this.path || !polls.has(this)) return;
      if (!(error instanceof CallError)) throw error;
      this.error = error;
      this.failures += 1;
      if (error.status === 404 && this.missing) this.missing(error);
      else if (this.knownAt === null) this.unanswered?.(error);
    }
    if (!polls.has(this)) return;
    const backedOff = this.seconds * 2 ** Math.min(this.failures, 6);
    const pause = Math.min(SLOWEST_SECONDS, Math.max(backedOff, this.error?.wait || 0));
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.ask(), pause * 1000);
    tellTrouble();
  }
}

/** Ask for everything at once: after somebody did something, or came back to the page. */
export function pollAll() {
  for (const each of polls) each.soon();
}

function tellTrouble() {
  const failing = [...polls].filter((each) => each.error && !(each.error.status === 404 && each.missing));
  document.dispatchEvent(new CustomEvent("trouble", { detail: failing }));
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) pollAll(); });
