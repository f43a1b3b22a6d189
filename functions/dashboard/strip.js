// The strip: in five seconds, whether cabs are being lost.

import { bytes, count, h, span, when } from "./dom.js";

const STATES = { ok: "OK", degraded: "Look here", down: "Down" };

/** Show a summary. */
export function showStrip(place, told) {
  const { pulls = {}, cabs = {}, checks = {}, reconcile, circuit } = told;
  const problems = told.problems || [];
  place.replaceChildren(
    h(`div.state.${told.state}`, {},
      h("strong", {}, STATES[told.state] || told.state),
      problems.length ? h("ul", {}, problems.map((each) => h("li", {}, each))) : h("p", {}, cabs.missing ? "Nobody needs to act: what is missing is asked for again." : "Every cab that Microsoft names is held, or on its way."),
      told.unknown?.length ? h("p.muted", {}, `Not known at the moment: ${told.unknown.join("; ")}`) : null),
    h("dl.tiles", {},
      tile("Expiring in 48 h", cabs.expiringSoon, cabs.expiringSoon ? "bad" : "", "not held yet, and soon deleted", "#/failures?sort=expiry"),
      tile("Missing", cabs.missing, cabs.missing ? "warn" : "", "could still be had", "#/failures?sort=missing"),
      tile("Copied today", cabs.copiedToday, "", cabs.held == null ? "" : `${count(cabs.held)} held, ${bytes(cabs.bytes)}`),
      tile("Failed pulls", pulls.Failed, pulls.Failed ? "bad" : "", "given up: a person is needed", "#/pulls"),
      tile("At work", sum(pulls.Queued, pulls.Running), "", [
        `${count(pulls.Running)} running, ${count(pulls.Queued)} queued`,
        told.oldestQueuedAt ? [h("br"), "oldest ", when(told.oldestQueuedAt)] : null,
      ], "#/pulls"),
      h("div.tile.checks", {}, h("dt", {}, "Checks"), h("dd", {},
        checkLine("Reports", checks.reports), checkLine("Applications", checks.failures), checkLine("Reconcile", reconcile)))),
    circuitLine(circuit) || "",
  );
}

function sum(...values) {
  return values.every((value) => value == null) ? null : values.reduce((total, value) => total + (value || 0), 0);
}

function tile(label, value, kind, beside, link) {
  const number = h("b", {}, count(value));
  return h(`div.tile${kind && `.${kind}`}`, {},
    h("dt", {}, label),
    h("dd", {}, link ? h("a", { href: link }, number) : number, h("small", {}, beside)));
}

function checkLine(label, check) {
  if (!check) return null;
  const error = check.error ? h("span.bad", { title: check.error }, " failed") : null;
  return h("p", {}, h("a", { href: "#/checks" }, label), h("span", {}, when(check.lastAt), error), h("span.muted", {}, check.nextAt ? ["next ", when(check.nextAt)] : ""));
}

function circuitLine(circuit) {
  if (!circuit || !circuit.asksAgainAt) return null;
  return h("p.circuit", {}, `Nobody asks the Dev Center at the moment: ${(circuit.reason || "it refuses every call").replace(/\.$/, "")}. `,
    "It is asked again ", when(circuit.asksAgainAt), ".");
}

/** Tell what does not answer, in one quiet line. */
export function showTrouble(place, polls) {
  place.hidden = !polls.length;
  if (!polls.length) return;
  const known = polls.map((each) => each.knownAt).filter(Boolean).sort((one, other) => one - other)[0];
  const reasons = [...new Set(polls.map((each) => `${each.path.split("?")[0]}: ${each.error.message}`))];
  const told = `${reasons.join("; ")}. ${known ? `What you see is ${span((Date.now() - known) / 1000)} old.` : "Nothing is known yet."} The page asks again by itself.`;
  if (place.textContent !== told) place.textContent = told;
}

