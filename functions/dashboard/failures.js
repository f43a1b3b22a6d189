// The list that people think in: which failure, which driver, which of its cabs are held.

import { Poll, address } from "./api.js";
import { perDay, perVersion, spark } from "./charts.js";
import { bytes, count, day, h, keep, plural, when } from "./dom.js";
import { go } from "./route.js";

const SORTS = { newest: "Newest", cabs: "Most cabs", missing: "Most missing", expiry: "Next to expire" };
const FAMILIES = { "": "Every family", driver: "Drivers", desktop: "Desktop", app: "Store apps" };
const STATES = { "": "Every state", Queued: "Queued", Running: "Running", Completed: "Completed", Failed: "Failed" };
const PAGE = 50;
const MOST = 1000;
const MOST_VERSIONS = 5;

export function openFailures(place, query) {
  let limit = PAGE;
  const list = h("ol.rows", { "aria-label": "Failures" });
  const told = h("p.muted", { role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { limit = Math.min(MOST, limit + 4 * PAGE); poll.soon(path()); } }, "Show more");
  const search = h("input", { type: "search", name: "text", placeholder: "Name, driver, version, id", value: query.get("text") || "", "aria-label": "Search failures" });
  const version = h("input", { name: "version", placeholder: "Version, e.g. 1.2.*", value: query.get("version") || "", "aria-label": "Version" });
  const form = h("form.filters", { role: "search", onsubmit: (event) => event.preventDefault(), oninput: () => { clearTimeout(typing); typing = setTimeout(changed, 250); } },
    search, version, select("family", FAMILIES, query), select("state", STATES, query), select("sort", SORTS, query, "Sort by "));
  let typing = 0;

  const asked = () => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
  const path = () => address("failures", { ...asked(), limit });
  const changed = () => {
    limit = PAGE;
    history.replaceState(null, "", `#${address("/failures", asked())}`);
    poll.soon(path());
    trends.soon(trendsPath());
  };
  const poll = new Poll(path(), 10, (body) => {
    keep(list, body.failures, (each) => `${each.applicationId}/${each.failureHash}`, row);
    const isFiltered = Object.entries(asked()).some(([name, value]) => value && name !== "sort");
    told.textContent = body.failures.length ? `${plural(body.total ?? body.failures.length, "failure")}${isFiltered ? " found" : ""}`
      : isFiltered ? "No failure is like that." : "No failure is known yet: let the reports or the failures be checked, or ask for a pull.";
    more.hidden = !body.continuation || limit >= MOST;
  }).start();
  const charts = h("div.charts");
  const trendsPath = () => { const { sort, ...filters } = asked(); return address("trends", filters); };
  const trends = new Poll(trendsPath(), 30, (body) => charts.replaceChildren(...drawn(body))).start();
  poll.unanswered = () => { told.textContent = "Not known at the moment."; };

  const onKey = (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      search.focus();
    }
  };
  document.addEventListener("keydown", onKey);
  place.append(h("h1.hidden", {}, "Failures"), form, h("details.trends", { open: window.matchMedia("(min-width: 701px)").matches }, h("summary", {}, "Cabs a day, crashes by version"), charts), h("div.told", {}, told, legend()), list, more);
  return () => { poll.stop(); trends.stop(); clearTimeout(typing); document.removeEventListener("keydown", onKey); };
}

function drawn({ days, versions }) {
  if (!days.some((each) => each.cabs) && !versions.length) return [h("p.muted", {}, "No cab has told its day or version yet.")];
  return [perDay("Cabs a day", days.map((each) => [each.day, each.cabs])),
    versions.length ? perVersion("Versions with the most crashes", versions.slice(0, MOST_VERSIONS).map((each) => [`${each.driverName || ""} ${each.version}`, each.cabs])) : null].filter(Boolean);
}

function select(name, options, query, before = "") {
  return h("select", { name, "aria-label": name[0].toUpperCase() + name.slice(1) }, Object.entries(options).map(([value, label]) =>
    h("option", { value, selected: (query.get(name) || Object.keys(options)[0]) === value }, before + label)));
}

function legend() {
  return h("p.legend", { "aria-hidden": "true" }, ["held", "missing", "expired"].map((each) => h(`span.${each}`, {}, each)));
}

function row(failure) {
  const { cabs } = failure;
  const name = failure.failureName || `Failure ${failure.failureHash.slice(0, 8)}`;
  const versions = failure.versions || [];
  return h("li.row", { onclick: (event) => { if (!event.target.closest("a")) go(link(failure)); } },
    h("div.what", {},
      h("a", { href: `#${link(failure)}`, "data-focus": failure.failureHash }, name),
      h("p", {}, h("b", {}, failure.driverName || failure.applicationId), " ",
        h("span.muted", {}, [versions.slice(0, 3).join(", ") + (versions.length > 3 ? ` and ${versions.length - 3} more` : ""), failure.family === "driver" ? "" : failure.family].filter(Boolean).join(" · ")))),
    h("div.tags", {}, spark(failure.days), failure.state && failure.state !== "Completed" ? h(`span.tag.${failure.state}`, {}, failure.state) : null),
    cabBar(cabs, failure.bytes),
    h("div.dates", {}, failure.lastSeen ? h("p", {}, `last seen ${day(failure.lastSeen)}`) : h("p", {}, "last change ", when(failure.updatedAt)),
      cabs.expiringSoon ? h("p.bad", {}, plural(cabs.expiringSoon, "cab"), " expiring, first ", when(failure.nextExpiry))
        : failure.nextExpiry && cabs.missing ? h("p.muted", {}, "next expiry ", when(failure.nextExpiry)) : null));
}

/** Show how many cabs are held, missing and expired: as a bar, and in words. */
export function cabBar(cabs, length) {
  const kinds = ["held", "missing", "expired"].map((kind) => [kind, cabs[kind] || 0]);
  const total = Math.max(1, kinds.reduce((sum, [, number]) => sum + number, 0));
  if (cabs.held == null) return h("div.cabs", {}, h("p.muted", {}, "not counted yet"));
  if (kinds.every(([, number]) => !number)) return h("div.cabs", {}, h("p.muted", {}, cabs.unavailable ? `${count(cabs.unavailable)} not to be had` : "no cab at Microsoft"));
  return h("div.cabs", {},
    h("div.bar", { "aria-hidden": "true" }, kinds.map(([kind, number]) => h(`span.${kind}`, { "--part": number / total }))),
    h("p", {}, `${count(cabs.held)} held`, cabs.missing ? h("span.warn", {}, `, ${count(cabs.missing)} missing`) : null,
      cabs.expired ? h("span.muted", {}, `, ${count(cabs.expired)} expired`) : null,
      cabs.skipped ? h("span.muted", {}, `, ${count(cabs.skipped)} skipped`) : null,
      cabs.unavailable ? h("span.muted", {}, `, ${count(cabs.unavailable)} not to be had`) : null, length ? h("span.muted", {}, ` · ${bytes(length)}`) : null));
}

const link = (failure) => `/failures/${failure.applicationId}/${failure.failureHash}`;
