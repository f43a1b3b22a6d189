// Pulls: what runs, what waits, what was given up and why, and the form that asks for more.

import { Poll, pollAll, post, session } from "./api.js";
import { actionButton, bytes, count, h, keep, plural, span, toast, when } from "./dom.js";

const AT_ONCE = 4;
const ENDED = "Ended";
const KINDS = [
  ["Running", "state=Running&limit=100", 2, "No pull runs."],
  ["Queued", "state=Queued&limit=50", 5, "No pull waits."],
  ["Failed", "state=Failed&limit=1000", 10, "No pull was given up."],
  [ENDED, "sort=ended&limit=20", 10, "No pull has ended yet."],
];
const opened = new Set();

export function openPulls(place) {
  const lists = {};
  const sections = KINDS.map(([state, query, seconds, none]) => {
    const list = h("ol.rows", { "aria-label": `${state} pulls` });
    const title = h("h2", {}, state);
    const nothing = h("p.muted", {}, "Looking…");
    lists[state] = new Poll(`pulls?${query}`, seconds, ({ pulls, continuation }) => {
      if (state !== ENDED) title.textContent = `${state} ${pulls.length ? `(${count(pulls.length)}${continuation ? " and more" : ""})` : ""}`;
      nothing.textContent = pulls.length ? "" : none;
      if (state === "Failed") keep(list, grouped(pulls), (each) => each.reason, group);
      else keep(list, pulls, idOf, pull);
    }).start();
    lists[state].unanswered = () => { nothing.textContent = "Not known at the moment."; };
    return h("section", {}, title, nothing, list);
  });
  place.append(h("h1.hidden", {}, "Pulls"), session.roles.includes("ask") ? askForm() : null, ...sections,
    h("p", {}, h("a", { href: "#/failures?state=Completed" }, "All failures whose pull is Completed")));
  return () => Object.values(lists).forEach((each) => each.stop());
}

const idOf = (each) => `${each.applicationId}/${each.failureHash}`;

function nameOf(each) {
  return h("a", { href: `#/failures/${idOf(each)}`, "data-focus": each.failureHash }, each.failureName || `Failure ${each.failureHash.slice(0, 8)}`);
}

function pull(each) {
  const { cabs } = each;
  return h("li.row.pull", {},
    h("div.what", {}, nameOf(each), h("p", {}, h("b", {}, each.driverName || each.applicationId), h("span.muted", {}, ` ${each.family}`))),
    h("div.progress", {}, each.state === "Running" ? progress(each) : null,
      h("p", {}, `${count(cabs.copied)} copied`, cabs.alreadyHeld ? `, ${count(cabs.alreadyHeld)} already held` : "", cabs.expired ? `, ${count(cabs.expired)} expired` : "",
        cabs.unavailable ? `, ${count(cabs.unavailable)} not to be had` : "", cabs.failed ? h("span.warn", {}, `, ${count(cabs.failed)} to be tried again`) : "",
        each.bytes ? h("span.muted", {}, ` · ${bytes(each.bytes)}`) : null), each.note ? h("p.muted", {}, each.note) : null),
    h("div.dates", {},
      each.completedAt ? h("p", {}, each.state === "Failed" ? h("span.bad", {}, "given up ") : "ended ", when(each.completedAt)) : null,
      each.state === "Running" ? h("p", {}, pace(each)) : h("p", {}, "asked ", when(each.askedAt || each.queuedAt), each.askedBy ? h("span.muted", {}, ` by ${each.askedBy}`) : null),
      each.attempts ? h("p", {}, `${plural(each.attempts, "try", "tries")} so far`) : null,
      each.nextTryAt ? h("p", {}, "next try ", when(each.nextTryAt)) : null),
    each.lastError ? errorOf(each.lastError, idOf(each)) : null);
}

function progress(each) {
  const percent = each.percent ?? (each.total ? (100 * each.cabs.seen) / each.total : null);
  const label = each.total ? `${count(each.cabs.seen)} of ${count(each.total)} cabs` : `${count(each.cabs.seen)} cabs so far`;
  return [h("progress", { max: 100, value: percent, "aria-label": label }), h("p", {}, percent == null ? label : `${Math.floor(percent)} %, ${label}`)];
}

function pace(each) {
  const elapsed = (Date.now() - new Date(each.startedAt)) / 1000;
  // Storage does not tell the length of what it copies by itself before the pull's end.
  const cabs = each.cabs.copied && elapsed > 0 ? `${count(+(each.cabs.copied / elapsed).toPrecision(2))} cabs/s` : "";
  const rate = each.rate ? `${bytes(each.rate)}/s` : cabs;
  const left = each.percent > 1 && elapsed > 0 ? `about ${span((elapsed * (100 - each.percent)) / each.percent)} left` : "";
  return [rate, left].filter(Boolean).join(", ") || ["since ", when(each.startedAt)];
}

/** Show the first sentence of an error; the rest on demand, which stays open while the list is asked for again. */
function errorOf(text, key) {
  const [first, rest] = split(text);
  if (!rest) return h("p.error.waits", {}, first);
  return h("details.error.waits", { open: opened.has(key), ontoggle: (event) => (event.target.open ? opened.add(key) : opened.delete(key)) },
    h("summary", { "data-focus": `error ${key}` }, first), h("p", {}, rest));
}

function split(text) {
  const end = text.search(/[.;!?]\s/);
  return end < 0 ? [text, ""] : [text.slice(0, end + 1).replace(/;$/, ""), text.slice(end + 1).trim()];
}

/** Put pulls together whose errors differ in ids and numbers alone. */
function grouped(pulls) {
  const groups = new Map();
  for (const each of pulls) {
    const reason = (each.lastError || "no reason was kept").replace(/[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9]+/gi, "…");
    groups.set(reason, [...(groups.get(reason) || []), each]);
  }
  return [...groups].map(([reason, members]) => ({ reason, members })).sort((one, other) => other.members.length - one.members.length);
}

function group({ reason, members }) {
  const retryAll = async (button) => {
    const waiting = [...members];
    const errors = [];
    let done = 0;
    const work = async () => {
      for (let each = waiting.pop(); each; each = waiting.pop()) {
        await post(`pulls/${idOf(each)}/retry`).catch((error) => errors.push(error.message));
        done += 1;
        button.textContent = `${done} of ${members.length}`;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    toast(errors.length ? `${plural(errors.length, "pull")} not queued again: ${errors[0]}` : `${plural(done, "pull")} queued again`, errors.length > 0);
    pollAll();
  };
  const key = `group ${reason}`;
  return h("li.row.group", {},
    h("div.what", {}, h("p", {}, h("b.bad", {}, plural(members.length, "pull")))),
    session.roles.includes("ask") ? actionButton("Retry all", retryAll) : null,
    // Whole: what a person should do stands at its end.
    h("p.error", {}, members[0].lastError || reason),
    h("details", { open: opened.has(key), ontoggle: (event) => (event.target.open ? opened.add(key) : opened.delete(key)) },
      h("summary", { "data-focus": key }, "Which failures"),
      h("ul", {}, members.map((each) => h("li", {}, nameOf(each), h("span.muted", {}, ` ${each.driverName || ""} given up `), when(each.completedAt || each.updatedAt))))));
}

function askForm() {
  const answer = h("p", { role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    const data = Object.fromEntries(new FormData(form));
    const hashes = data.failureHashes.split(/[\s,;]+/).filter(Boolean);
    const body = { applicationId: data.applicationId.trim(), failureHashes: hashes };
    if (data.startDate || data.endDate) Object.assign(body, { startDate: data.startDate || null, endDate: data.endDate || null });
    answer.className = "";
    answer.textContent = "Asking…";
    try {
      const { pulls } = await post("pulls", body);
      answer.replaceChildren(`${plural(pulls.length, "pull")} queued. What becomes of each: `, ...pulls.flatMap((each, index) => [index ? ", " : "", nameOf(each)]));
      form.elements.failureHashes.value = "";
      pollAll();
    } catch (error) {
      answer.className = "bad";
      answer.textContent = error.message;
    }
  };
  const form = h("form", { onsubmit: submit },
    field("Application id", h("input", { name: "applicationId", required: true, autocomplete: "off", spellcheck: "false" })),
    field("Failure hashes, one or many", h("textarea", { name: "failureHashes", required: true, rows: 3, spellcheck: "false" })),
    field("From (optional)", h("input", { name: "startDate", type: "date" })),
    field("To (optional)", h("input", { name: "endDate", type: "date" })),
    h("button.primary", { type: "submit" }, "Pull"), answer);
  return h("details.ask", {}, h("summary", {}, "Pull cabs now"), form);
}

const field = (label, input) => h("label", {}, h("span", {}, label), input);
