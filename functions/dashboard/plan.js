// The plan: what the next run would take, and what the rules leave out; under others, before anybody uploads them.

import { Poll, post, session } from "./api.js";
import { actionButton, bytes, count, h, plural, table, when } from "./dom.js";

export function openPlan() {
  const found = h("div", { role: "status" }, h("p.muted", {}, "Looking…"));
  const tried = h("div", { role: "status" });
  const poll = new Poll("plan", 60, (body) => found.replaceChildren(...told(body)));
  poll.start();
  const text = h("textarea", { rows: 8, spellcheck: "false", "aria-label": "Rules to try", placeholder: '[[rules]]\nname = "ten of each"\naction = "keep"\nat-most-cabs = 10' });
  const tryIt = async () => {
    tried.replaceChildren(); // what other rules would do is no answer to these
    tried.replaceChildren(...told(await post("plan", { keep: text.value })));
  };
  const place = h("section", { "aria-label": "Plan" }, h("h2", {}, "Plan"), found,
    session.roles.includes("ask") && h("details", {}, h("summary", {}, "Try other rules"), text, actionButton("Plan with these", tryIt), tried));
  return [place, poll];
}

function told(plan) {
  const late = plan.tooLate ? h("span.bad", {}, `, and cabs of ${plural(plan.tooLate, "failure")} expire before their day`) : "";
  return [
    plan.problem ? h("p.bad", {}, `The rules do not hold: ${plan.problem}`) : "",
    h("p", {}, "The next run", plan.nextRunAt ? [", ", when(plan.nextRunAt), ","] : "", " would take ", h("b", {}, plural(plan.cabs, "cab")),
      ` of ${plural(plan.failures, "failure")}, some ${bytes(plan.bytes)}: ${plural(plan.cost.storageRequests, "request")} of storage, ${plural(plan.cost.devCenterCalls, "call")} of the Dev Center, `,
      `${plan.cost.gigabyteMonths} GB-months. `, plan.expiringBefore ? h("span.bad", {}, `Cabs of ${plural(plan.expiringBefore, "failure")} expire before it.`) : "No cab that is known expires before it."),
    plan.bytesADay ? h("p", {}, `At ${bytes(plan.bytesADay)} a day that takes ${plural(plan.days, "day")}`, late, ".") : "",
    plan.skippedBy.length ? table("What the rules skip", [{ label: "Skipped by" }, { label: "Failures", class: "number" }, { label: "Cabs", class: "number" }],
      plan.skippedBy.map((each) => [each.reason, count(each.failures), count(each.cabs)])) : h("p.muted", {}, "No rule skips anything that is known."),
  ];
}
