// One failure: its cabs, where they are, and how to fetch them.

import { CallError, Poll, errorOf, pollAll, post, send, session } from "./api.js";
import { perDay, perVersion } from "./charts.js";
import { actionButton, bytes, copyButton, count, day, h, minute, plural, table, toast, when } from "./dom.js";
import { cabBar } from "./failures.js";

const CABS = 1000;
const SHOWN = 50;
const STATES = { copied: "held", listed: "missing", retired: "removed after the retention", expired: "expired", unavailable: "not to be had", failed: "failed", skipped: "skipped by a rule", again: "to be tried again" };
const HEADS = [
  { label: "Date" }, { label: "Version" }, { label: "OS" }, { label: "Architecture" }, { label: "Type" },
  { label: "Size", class: "number" }, { label: "At Microsoft until" }, { label: "State" }, { label: "Fetch", class: "fetch" },
];

export function openFailure(place, applicationId, failureHash, container) {
  const id = `${applicationId}/${failureHash}`;
  const head = h("section.failure", {}, h("p.muted", {}, "Looking…"));
  const outcome = h("div", { role: "status" });
  const charts = h("div.charts");
  const cabs = h("section", { "aria-label": "Cabs" });
  const failure = new Poll(`failures/${id}`, 10, (body) => showHead(head, body, id, container));
  failure.missing = (error) => head.replaceChildren(h("h1", {}, "Not known"), h("p", {}, error.message));
  failure.unanswered = (error) => head.replaceChildren(h("h1", {}, "Not known at the moment"), h("p", {}, `It is asked for again: ${error.message}.`));
  let [pull, known, shown] = [null, null, SHOWN];
  const show = () => { if (known) cabs.replaceChildren(...cabTable(id, known, pull, shown, () => { shown = CABS; show(); })); };
  const last = new Poll(`pulls/${id}`, 10, (body) => {
    pull = body;
    outcome.replaceChildren(...told(pull));
    show();
  });
  last.missing = () => {};
  const rows = new Poll(`pulls/${id}/cabs?limit=${CABS}`, 15, (body) => {
    known = body;
    charts.replaceChildren(...drawn(body.cabs));
    show();
  });
  rows.missing = () => cabs.replaceChildren();
  const polls = [failure, last, rows];
  polls.forEach((each) => each.start());
  place.append(h("p.back", {}, h("a", { href: "#/failures" }, "← All failures")), head, outcome, charts, cabs);
  return () => polls.forEach((each) => each.stop());
}

function showHead(head, failure, id, container) {
  const prefix = `${id}/`;
  const pullAgain = async () => {
    await post("pulls", { applicationId: failure.applicationId, failureHash: failure.failureHash });
    toast("The pull is queued");
    pollAll();
  };
  head.replaceChildren(
    h("div.title", {}, h("h1", {}, failure.failureName || `Failure ${failure.failureHash}`),
      h("span.tag", {}, failure.family), failure.state ? h(`span.tag.${failure.state}`, {}, failure.state) : null),
    h("p", {}, h("b", {}, failure.driverName || "no file named"), h("span.muted", {}, ` ${(failure.versions || []).join(", ")}`)),
    h("dl.facts", {},
      fact("Application", failure.applicationId), fact("Failure hash", failure.failureHash),
      fact("First seen", day(failure.firstSeen)), fact("Last seen", day(failure.lastSeen)),
      fact("Next to expire", when(failure.nextExpiry, "–"))),
    cabBar(failure.cabs, failure.bytes),
    h("div.actions", {},
      copyButton("Copy azcopy line", () => `azcopy copy "${container()}/${prefix}*" . --recursive --check-md5 FailIfDifferent`),
      copyButton("Copy prefix", () => prefix),
      copyButton("Copy cabferry line", () => `cabferry get ${failure.failureHash}`),
      session.roles.includes("ask") && !isBusy(failure) ? actionButton("Pull again", pullAgain) : null,
      isBusy(failure) ? h("a", { href: "#/pulls" }, "See its pull") : null));
}

/** Say what the last pull brought where its numbers do not, or why it was given up. */
function told(pull) {
  if (pull.state === "Failed" && pull.lastError) return [h("p.do", {}, h("b", {}, "Given up: "), pull.lastError)];
  return pull.note ? [h("p.note", {}, pull.note, ".")] : [];
}

const isBusy = ({ state }) => state === "Queued" || state === "Running";

const fact = (label, value) => h("div", {}, h("dt", {}, label), h("dd", {}, value));

function drawn(cabs) {
  if (!cabs.length) return [];
  const counted = (key) => {
    const numbers = new Map();
    for (const cab of cabs) if (key(cab)) numbers.set(key(cab), (numbers.get(key(cab)) || 0) + 1);
    return [...numbers];
  };
  const versions = counted((cab) => cab.driverVersion).sort(([one], [other]) => other.localeCompare(one, "en", { numeric: true }));
  return [perDay("Cabs a day", counted((cab) => cab.date?.slice(0, 10))), versions.length ? perVersion("Crashes by version", versions) : null].filter(Boolean);
}

function cabTable(id, body, pull, shown, showAll) {
  if (!body.cabs.length) return pull?.note ? [] : [h("p.muted", {}, "No cab is known of this failure yet.")];
  const stateOf = (cab) => (cab.state === "failed" && pull && isBusy(pull) ? "again" : cab.state);
  const newest = [...body.cabs].sort((one, other) => (other.date || "").localeCompare(one.date || ""));
  const note = body.continuation ? `The first ${count(newest.length)} cabs; the copy lines above fetch all of them.` : plural(newest.length, "cab");
  return [h("h2", {}, "Cabs"), h("p.muted", {}, note), table("Cabs of this failure", HEADS, newest.slice(0, shown).map((cab) => [
    minute(cab.date), cab.driverVersion || "–", cab.osVersion || "–", cab.architecture || "–", cab.cabType || "–",
    bytes(cab.length), cab.expires ? when(cab.expires) : "–",
    h(`span.state-${stateOf(cab)}`, { title: cab.error }, STATES[stateOf(cab)] || cab.state),
    session.roles.includes("ask") ? fetchButton(id, cab) : "–"])),
    newest.length > shown ? h("button", { type: "button", onclick: showAll }, `Show all ${count(newest.length)}`) : ""];
}

function fetchButton(id, cab) {
  if (cab.state === "copied") return downloadButton(id, cab);
  if (cab.state === "retired") return "–";
  const [applicationId, failureHash] = id.split("/");
  const button = actionButton("Copy this one", async () => {
    await post(`cabs/${applicationId}/${cab.cabIdHash}`, { failureHash });
    toast("The cab is asked for by itself");
    pollAll();
  });
  button.setAttribute("aria-label", `Copy the cab of ${day(cab.date)} into the container`);
  return button;
}

function downloadButton(id, cab) {
  const button = actionButton("Download", (pressed) => download(pressed, `failures/${id}/cabs/${cab.cabIdHash}`, cab));
  button.setAttribute("aria-label", `Download the cab of ${day(cab.date)}, ${bytes(cab.length)}`);
  return button;
}

/** Fetch a cab by a link of some minutes where the app can make one, else through the app, part by part. */
async function download(button, path, cab) {
  const name = cab.blobName.split("/").pop();
  try {
    const { url } = await post(`${path}/link`);
    return save(url, name);
  } catch (error) {
    if (!(error instanceof CallError) || error.status !== 409) throw error;
  }
  const parts = [];
  let [at, total, etag] = [0, null, null];
  while (total === null || at < total) {
    button.textContent = total ? `${Math.floor((100 * at) / total)} %` : "…";
    const answer = await send("GET", `${path}/content`, { headers: { Range: `bytes=${at}-`, ...(etag ? { "If-Match": etag } : {}) } });
    if (!answer.ok) throw await errorOf(answer);
    const part = await answer.blob();
    total = Number(answer.headers.get("Content-Range").split("/")[1]);
    etag = answer.headers.get("ETag");
    at += part.size;
    parts.push(part);
  }
  const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

function save(url, name) {
  const link = h("a", { href: url, download: name, rel: "noreferrer" });
  document.body.append(link);
  link.click();
  link.remove();
  toast(`Fetching ${name}`);
}
