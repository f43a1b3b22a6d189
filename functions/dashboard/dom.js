// Elements, and how times, numbers and lengths are told. Text only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";
const NUMBER = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const MINUTE = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Make an element: h("td.name", {title: "..", onclick: f, "--part": 0.5}, child, "text", null). */
export function h(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  return filled(element, attributes, children);
}

/** Make an element of SVG. */
export function svg(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Show items below a parent. A node whose item has not changed stays as it is, and so does the focus in it. */
export function keep(parent, items, keyOf, build) {
  const known = parent.kept || new Map();
  const kept = new Map();
  const focus = parent.contains(document.activeElement) && document.activeElement.dataset.focus;
  for (const item of items) {
    const key = keyOf(item);
    const told = JSON.stringify(item);
    const before = known.get(key);
    kept.set(key, before?.told === told ? before : { told, node: build(item) });
  }
  const nodes = [...kept.values()].map((each) => each.node);
  if (nodes.length !== parent.children.length || nodes.some((node, index) => node !== parent.children[index])) {
    parent.replaceChildren(...nodes);
  }
  parent.kept = kept;
  if (focus && !parent.contains(document.activeElement)) parent.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
}

/** Make a table that becomes a list of cards where the window is narrow, and stays a table for a screen reader. */
export function table(caption, heads, rows) {
  const cell = (content, index) => h(`td.${heads[index].class || "plain"}`, { role: "cell", "data-label": heads[index].label }, content);
  return h("table", { role: "table" },
    h("caption.hidden", {}, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((head) => h(`th.${head.class || "plain"}`, { role: "columnheader", scope: "col" }, head.label)))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, row.map(cell)))));
}

export const count = (value) => (value == null ? "–" : NUMBER.format(value));
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
export const day = (text) => told(DAY, text);
export const minute = (text) => told(MINUTE, text);

/** Tell a time; what is none, as a report may have it that cannot be read, must not keep the rest from being shown. */
function told(format, text) {
  const at = new Date(text || NaN);
  return Number.isNaN(at.getTime()) ? "–" : format.format(at);
}

export function bytes(value) {
  if (value == null) return "–";
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${NUMBER.format(+(value / 1000 ** power).toPrecision(3))} ${["B", "KB", "MB", "GB", "TB"][power]}`;
}

/** Tell a length of time by its largest unit, and the next where that says more. */
export function span(seconds) {
  const index = UNITS.findIndex(([, size]) => Math.abs(seconds) >= size);
  if (index < 0) return "0 s";
  const [unit, size] = UNITS[index];
  const whole = Math.floor(Math.abs(seconds) / size);
  const next = UNITS[index + 1];
  const rest = next && whole < 5 ? Math.floor((Math.abs(seconds) % size) / next[1]) : 0;
  return `${whole} ${unit}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

function relative(at) {
  const seconds = (new Date(at) - Date.now()) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${span(seconds)}` : `${span(seconds).replace(/ \d+ s$/, "")} ago`;
}

/** Show a time by how far it is from now; it ticks by itself. */
export function when(at, otherwise = "never") {
  if (!at) return h("span.muted", {}, otherwise);
  return h("time", { datetime: at, title: `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC` }, relative(at));
}

setInterval(() => {
  for (const each of document.querySelectorAll("time[datetime]")) {
    const told = relative(each.dateTime);
    if (each.textContent !== told) each.textContent = told;
  }
}, 1000);

/** Say something that just happened, for some seconds. */
let toastEnds = 0;
export function toast(text, bad = false) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.className = `toast shown${bad ? " bad" : ""}`;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { place.className = "toast"; }, 8000);
}

/** Make a button that copies what a function returns when it is pressed. */
export function copyButton(label, textNow) {
  const copied = async () => {
    const text = textNow();
    try {
      await navigator.clipboard.writeText(text);
      toast(`Copied: ${text}`);
    } catch {
      toast(`The browser does not let this page copy: ${text}`, true);
    }
  };
  return h("button.quiet", { type: "button", onclick: copied, "data-focus": label }, label);
}

/** Make a button that does something of the app, may say how far it is, and cannot be pressed again meanwhile. */
export function actionButton(label, act, kind = "") {
  const button = h(`button${kind ? `.${kind}` : ""}`, { type: "button", "data-focus": label }, label);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    try {
      await act(button);
    } catch (error) {
      toast(error.message, true);
    } finally {
      button.textContent = label;
      button.removeAttribute("aria-disabled");
    }
  });
  return button;
}
