// The preflight: everything that a pull needs, asked once, each with what to do.

import { Poll, post, session } from "./api.js";
import { actionButton, h, when } from "./dom.js";

export function openPreflight(place) {
  const found = h("div", { role: "status" }, h("p.muted", {}, "Looking…"));
  const last = new Poll("preflight", 60, (body) => show(found, body));
  last.missing = () => found.replaceChildren(h("p.muted", {}, "Nobody ran a preflight yet. It asks everything that a pull needs, once, and starts no pull."));
  last.unanswered = () => found.replaceChildren(h("p.muted", {}, "Not known at the moment."));
  last.start();
  const run = async () => {
    found.setAttribute("aria-busy", "true");
    try {
      show(found, await post("preflight"));
    } finally {
      found.removeAttribute("aria-busy");
    }
  };
  place.append(h("div.title", {}, h("h1", {}, "Preflight"), session.roles.includes("ask") && actionButton("Run preflight", run, "primary")),
    h("p.muted", {}, "Does everything that a pull needs answer? Up to 20 seconds."), found);
  return () => last.stop();
}

function show(place, told) {
  const sorted = [...told.checks].sort((one, other) => one.ok - other.ok);
  const failed = sorted.filter((each) => !each.ok).length;
  place.replaceChildren(
    h(`p.verdict.${told.ready ? "ok" : "bad"}`, {}, told.ready ? "Ready: everything answers." : `Not ready: ${failed} of ${sorted.length} checks need a person.`,
      told.at ? [" ", h("span.muted", {}, when(told.at))] : null),
    h("ol.rows", {}, sorted.map((each) => h("li.row.check", {},
      h(`span.dot.${each.ok ? "ok" : "bad"}`, {}, h("b", {}, each.name)),
      h("div", {}, h("p", {}, each.answered), each.whatToDo ? h("p.do", {}, h("b", {}, "What to do: "), each.whatToDo) : null),
      h("span.muted", {}, `${each.milliseconds} ms`)))));
}
