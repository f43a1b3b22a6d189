// The strip: in five seconds, whether cabs are being lost.

import { bytes, count, h, span, when } from "./dom.js";

// Of a problem that fits beside the tiles.
const SHORT = 80;
const STATES = { ok: "OK", degraded: "Look here", down: "Down" };

/** Show a summary; one that is not known to hold any more with `stale.since`, when it did. */
export function showStrip(place, told, stale) {
  const { pulls = {}, cabs = {}, checks = {}, reconcile, circuit } = told;
  place.replaceChildren(
    stale ? staleTile(stale.since) : stateTile(told),
    h("dl.tiles", {},
      tile("Expiring in 48 h", cabs.expiringSoon, cabs.expiringSoon ? "bad" : "", "not held yet, and soon deleted", "#/failures?sort=expiry"),
      tile("Missing", cabs.missing, cabs.missing ? "warn" : "", cabs.skipped ? `could still be had; ${count(cabs.skipped)} skipped by rules` : "could still be had", "#/failures?sort=missing"),
      tile("Copied today", cabs.copiedToday, "", cabs.held == null ? "" : `${count(cabs.held)} held, ${bytes(cabs.bytes)}`),
      tile("Failed pulls", pulls.Failed, pulls.Failed ? "bad" : "", "given up: a person is needed", "#/pulls"),
      tile("At work", sum(pulls.Queued, pulls.Running), "", [
        `${count(pulls.Running)} running, ${count(pulls.Queued)} queued`,
        told.oldestQueuedAt ? [h("br"), "oldest ", when(told.oldestQueuedAt)] : null,
      ], "#/pulls"),
      h("div.tile.checks", {}, h("dt", {}, "Checks"), h("dd", {},
        checksInShort([checks.reports, checks.failures, reconcile]),
        checkLine("Reports", checks.reports), checkLine("Applications", checks.failures), checkLine("Reconcile", reconcile)))),
    circuitLine(circuit, told.problems) || "",
  );
}

function stateTile(told) {
  const problems = told.problems || [];
  const isLong = problems.length > 1 || problems.join().length > SHORT;
  return h(`div.state.${told.state}${isLong ? ".long" : ""}`, {},
    h("strong", {}, STATES[told.state] || told.state),
    problems.length ? h("ul", {}, problems.map((each) => h("li", {}, problem(each))))
      : h("p", {}, told.cabs?.missing ? "Nobody needs to act: what is missing is asked for again." : "Every cab that Microsoft names is held, or on its way."),
    told.unknown?.length ? h("p.muted", {}, `Not known at the moment: ${told.unknown.join("; ")}`) : null);
}

function staleTile(since) {
  return h("div.state", {}, h("strong", {}, "Not known"), since ? h("p", {}, "The numbers are as they were ", when(since), ".") : h("p", {}, "Nothing was answered yet."));
}

/** Show a problem; where it names the call that tells why, as a link to the view that does. */
function problem(text) {
  const [what, call] = text.split(": GET /api/pulls?state=Failed");
  return call === undefined ? text : h("a", { href: "#/pulls" }, what);
}

function sum(...values) {
  return values.every((value) => value == null) ? null : values.reduce((total, value) => total + (value || 0), 0);
}

function tile(label, value, kind, beside, link) {
  const number = h("b", {}, count(value));
  return h(`div.tile${kind && `.${kind}`}`, {},
    h("dt", {}, label),
    h("dd", {}, link ? h("a", { href: link, "aria-label": `${label}: ${count(value)}` }, number) : number, h("small", {}, beside)));
}

/** Tell the checks in a word, for a window that is too narrow for their times. */
function checksInShort(checks) {
  const failed = checks.filter((each) => each?.error).length;
  const told = failed ? `${failed} failed` : checks.some((each) => each?.lastAt) ? "OK" : "none yet";
  return h("a.short", { href: "#/checks", "aria-label": `Checks: ${told}` }, h(failed ? "b.bad" : "b", {}, told));
}

function checkLine(label, check) {
  if (!check) return null;
  const error = check.error ? h("span.bad", { title: check.error }, " failed") : null;
  return h("p", {}, h("a", { href: "#/checks" }, label), h("span", {}, when(check.lastAt), error), h("span.muted", {}, check.nextAt ? ["next ", when(check.nextAt)] : ""));
}

function circuitLine(circuit, problems = []) {
  if (!circuit || !circuit.asksAgainAt) return null;
  const isTold = circuit.reason && problems.some((each) => each.includes(circuit.reason));
  return h("p.circuit", {}, `Nobody asks the Dev Center at the moment${isTold ? "" : `: ${(circuit.reason || "it refuses every call").replace(/\.$/, "")}`}. `,
    "It is asked again ", when(circuit.asksAgainAt), ".");
}

/** Tell what does not answer, in one sentence. */
export function showTrouble(place, polls) {
  place.hidden = !polls.length;
  if (!polls.length) return;
  const known = polls.map((each) => each.knownAt).filter(Boolean).sort((one, other) => one - other)[0];
  const reasons = [...new Set(polls.map((each) => each.error.message.replace(/\.$/, "")))].join("; ");
  const told = `${reasons[0].toUpperCase()}${reasons.slice(1)}: ${known ? `what you see is ${span((Date.now() - known) / 1000)} old` : "nothing is known yet"}, and is asked for again.`;
  if (place.textContent !== told) place.textContent = told;
}

