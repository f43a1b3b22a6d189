// Reports and checks: which runs came, what each brought, and what could not be read.

import { Poll, post, session } from "./api.js";
import { timeLine } from "./charts.js";
import { actionButton, count, h, minute, plural, table, toast, when } from "./dom.js";
import { openPlan } from "./plan.js";
import { schedulesSection } from "./schedules.js";

const RUNS = 1000;
const LINE_DAYS = 14;
const SHOWN = 50;

export function openChecks(place) {
  const runs = h("div");
  const asked = h("div.asked");
  const applications = h("div");
  let [checked, nextAt] = [null, null];
  const showApplications = () => { if (checked) applications.replaceChildren(...applicationChecks(checked, nextAt)); };
  const polls = [
    new Poll(`reports?limit=${RUNS}`, 15, (body) => runs.replaceChildren(...reportRuns(body.runs))),
    new Poll("reports/check", 4, (body) => {
      asked.replaceChildren(...reportCheck(body));
      polls[0].soon();
    }),
    new Poll("failures/check", 10, (body) => {
      checked = body.applications;
      showApplications();
    }),
    new Poll("summary", 15, (body) => {
      nextAt = body.checks.failures.nextAt;
      showApplications();
    }),
  ];
  polls[1].missing = () => asked.replaceChildren();
  polls.forEach((each) => each.start());
  const [plan, planned] = openPlan();
  polls.push(planned);
  const check = (path, poll) => session.roles.includes("ask") && actionButton("Check now", async () => {
    await post(path);
    toast("The check is queued");
    poll.soon();
  });
  place.append(h("h1.hidden", {}, "Checks"),
    h("section", { "aria-label": "Reports" }, h("div.title", {}, h("h2", {}, "Reports of drivers"), check("reports/check", polls[1])), asked, runs),
    schedulesSection(),
    h("section", { "aria-label": "Applications" }, h("div.title", {}, h("h2", {}, "Failures of applications"), check("failures/check", polls[2])), applications), plan);
  return () => polls.forEach((each) => each.stop());
}

function reportCheck(body) {
  const told = { Queued: body.nextTryAt ? `A check waits until ${minute(body.nextTryAt)}.` : "A check waits for its turn.", Running: "A check runs.", Failed: "The last check that was asked for failed." }[body.state];
  const failed = body.runs.filter((each) => each.outcome === "failed").length;
  const brought = body.runs.filter((each) => each.outcome === "ingested").length;
  return [h(body.state === "Failed" ? "p.bad" : "p", {},
    told || ["The last check that was asked for looked at ", plural(body.runs.length + body.leftOut, "run"), `: ${count(brought)} new, ${count(failed)} failed, `, when(body.endedAt)],
    body.error ? ` ${body.error}` : "")];
}

const at = (run) => (/Z|[+-]\d\d:?\d\d$/.test(run.reportDatetime) ? run.reportDatetime : `${run.reportDatetime}Z`);

function kindOf(run) {
  if (run.error) return run.ingestedAt ? "warn" : "bad";
  return run.ingestedAt ? "ok" : "open";
}

function reportRuns(all) {
  if (!all.length) return [h("p.muted", {}, "No report run was seen yet.")];
  const newest = [...all].sort((one, other) => at(other).localeCompare(at(one)));
  const recent = newest.filter((each) => Date.now() - new Date(at(each)) < LINE_DAYS * 86400000);
  return [
    timeLine("Report runs", recent.map((each) => ({ at: at(each), kind: kindOf(each), label: `${each.reportId}, ${minute(at(each))}: ${each.error || plural(each.failures, "failure")}` })), LINE_DAYS),
    table("Report runs", [{ label: "Report" }, { label: "Made" }, { label: "Read" }, { label: "Failures", class: "number" }, { label: "Cabs", class: "number" }, { label: "Could not be read", class: "text" }],
      newest.slice(0, SHOWN).map((each) => [h(`span.dot.${kindOf(each)}`, {}, each.reportId), minute(at(each)),
        each.ingestedAt ? when(each.ingestedAt) : each.status, count(each.failures), count(each.cabs), each.error ? h("span.bad", {}, each.error) : "nothing"])),
    newest.length > SHOWN ? h("p.muted", {}, `${count(newest.length - SHOWN)} older runs are at GET /api/reports.`) : "",
  ];
}

function applicationChecks(all, nextAt) {
  if (!all.length && nextAt) return [h("p.muted", {}, "Not looked at yet: next ", when(nextAt), ".")];
  if (!all.length) return [h("p.muted", {}, "No application is configured, or none was looked at yet.")];
  return [table("Checks of applications", [{ label: "Application" }, { label: "Family" }, { label: "Looked at" }, { label: "Complete to" }, { label: "Failures", class: "number" }, { label: "Queued", class: "number" }, { label: "Could not be read", class: "text" }],
    all.map((each) => [h(`span.dot.${each.error ? "bad" : "ok"}`, {}, each.applicationId), each.family, when(each.checkedAt), each.coveredTo || "–", count(each.failures), count(each.queued),
      each.error ? [h("span.bad", {}, each.error), each.nextTryAt ? [" It is tried again ", when(each.nextTryAt), "."] : ""] : "nothing"]))];
}
