// Two small charts, drawn from the rows that the API tells.

import { count, day, h, svg } from "./dom.js";

const DAY_MS = 86400000;
const HEIGHT = 100;

/** Draw a bar for each day: pairs of a date as 2026-11-28 and a number. */
export function perDay(title, pairs, days = 30) {
  const numbers = new Map(pairs);
  const today = Date.parse(new Date().toISOString().slice(0, 10));
  const all = Array.from({ length: days }, (_, index) => new Date(today - (days - 1 - index) * DAY_MS).toISOString().slice(0, 10));
  const values = all.map((each) => numbers.get(each) || 0);
  const most = Math.max(1, ...values);
  const bars = values.map((value, index) => {
    const height = Math.max(2, (HEIGHT * value) / most);
    return svg("rect", { x: index * 10 + 1, width: 8, y: HEIGHT - height, height, class: value ? "bar" : "none" }, svg("title", {}, `${day(all[index])}: ${count(value)}`));
  });
  const told = `${count(values.reduce((sum, value) => sum + value, 0))} in ${days} days, at most ${count(most)} on one`;
  return figure(title, told, svg("svg", { viewBox: `0 0 ${days * 10} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${told}` }, bars),
    axis([all[0], all[Math.floor(days / 2)], all[days - 1]]));
}

/** Draw the cabs of the last days in the height of a line; nothing where there are none. */
export function spark(days) {
  const most = Math.max(0, ...days);
  if (!most) return null;
  const told = `${count(days.reduce((sum, value) => sum + value, 0))} cabs in ${days.length} days`;
  return svg("svg", { class: "spark", viewBox: `0 0 ${days.length * 4} 24`, role: "img", "aria-label": told }, svg("title", {}, told),
    days.map((value, index) => { const height = value ? Math.max(3, (24 * value) / most) : 1; return svg("rect", { x: index * 4, width: 3, y: 24 - height, height, class: value ? "bar" : "none" }); }));
}

/** Draw a bar for each version, the newest first: pairs of a version and a number. */
export function perVersion(title, pairs, most = 5) {
  const shown = pairs.slice(0, most);
  const left = pairs.slice(most).reduce((sum, [, value]) => sum + value, 0);
  if (left) shown.push([`${pairs.length - most} older`, left]);
  const top = Math.max(1, ...shown.map(([, value]) => value));
  return figure(title, "", h("dl.bars", {}, shown.map(([version, value]) => [
    h("dt", {}, version),
    h("dd", {}, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "bar", width: Math.max(1, (100 * value) / top), height: 10 })), count(value))])));
}

/** Draw runs on a line of time: {at, kind, label} each. */
export function timeLine(title, runs, days) {
  const end = Date.now();
  const start = end - days * DAY_MS;
  const told = `${count(runs.length)} in ${days} days`;
  const ticks = Array.from({ length: 4 }, (_, index) => start + (index / 3) * (end - start));
  return figure(title, told, h("div.line", { role: "img", "aria-label": `${title}: ${told}` },
    runs.map((run) => h(`span.${run.kind}`, { title: run.label, "--at": Math.min(1, Math.max(0, (new Date(run.at) - start) / (end - start))) }))), axis(ticks));
}

function figure(title, told, ...drawn) {
  return h("figure.chart", {}, h("figcaption", {}, h("strong", {}, title), h("span.muted", {}, ` ${told}`)), drawn);
}

const axis = (moments) => h("p.axis", { "aria-hidden": "true" }, moments.map((each) => h("span", {}, day(each))));
