// The schedules by which Microsoft makes the reports: where each stands, pause and resume, and the first one.

import { get, post, session } from "./api.js";
import { actionButton, count, h, minute, plural, table, toast, when } from "./dom.js";

const KINDS = { active: "ok", paused: "bad", ended: "bad" };

/** Return the section. Each look asks the Dev Center, so it looks once, and again after each wish. */
export function schedulesSection() {
  const place = h("div", {}, h("p.muted", {}, "Microsoft is asked …"));
  const look = async () => {
    try {
      const body = await get("reports/schedules");
      place.replaceChildren(...shown(body, look));
    } catch (error) {
      place.replaceChildren(h("p.bad", {}, `The schedules are not known: ${error.message}`));
    }
  };
  look();
  return h("section", { "aria-label": "Schedules" },
    h("div.title", {}, h("h2", {}, "When Microsoft makes them"), actionButton("Look again", look)), place);
}

function shown({ schedules, odd }, look) {
  const parts = odd.map((each) => h("p.bad", {}, each));
  if (schedules.length) {
    parts.push(table("Schedules", [{ label: "Report" }, { label: "State" }, { label: "Every" }, { label: "Next run" }, { label: "Last run" }, { label: "Runs left", class: "number" }, { label: "" }],
      schedules.map((each) => [h(`span.dot.${KINDS[each.state]}`, {}, each.reportId), each.state,
        each.recurrenceInterval ? plural(each.recurrenceInterval, "hour") : "–", each.nextRunAt ? when(each.nextRunAt) : "–",
        minute(each.lastRunAt), count(each.runsLeft), change(each, look)])));
  }
  if (!schedules.some((each) => each.state === "active")) parts.push(making(look));
  return parts;
}

function change(schedule, look) {
  const verb = { active: "pause", paused: "resume" }[schedule.state];
  if (!verb || !session.roles.includes("ask")) return "";
  const button = actionButton(verb === "pause" ? "Pause" : "Resume", async () => {
    await post(`reports/schedules/${encodeURIComponent(schedule.reportId)}/${verb}`);
    toast(`Report ${schedule.reportId} is ${verb}d`);
    await look();
  });
  button.dataset.focus = `${verb} ${schedule.reportId}`;
  return button;
}

function making(look) {
  const told = h("p", {}, "No report is made, so that no failure of a driver is found.");
  if (!session.roles.includes("ask")) return told;
  const number = (value, least, most) => h("input", { type: "number", value, min: least, max: most, required: true });
  const [hours, runs] = [number(24, 12, 8784), number(365, 1, 1000)];
  const make = actionButton("Make the report", async () => {
    if (![hours, runs].every((each) => each.reportValidity())) return;
    const made = await post("reports/schedules", { recurrenceInterval: hours.valueAsNumber, recurrence: runs.valueAsNumber });
    toast(`Report ${made.reportId} is scheduled: its first run is made in ten minutes`);
    await look();
  }, "primary");
  return h("form", { onsubmit: (event) => event.preventDefault() }, told,
    h("label", {}, "Hours from run to run", hours), h("label", {}, "How many runs", runs), make);
}
