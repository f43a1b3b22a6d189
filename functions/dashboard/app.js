// The page: sign-in, the strip, and one view at a time.

import { Poll, hasKey, loadSession, pollAll, session, useKey } from "./api.js";
import { openChecks } from "./checks.js";
import { h } from "./dom.js";
import { openFailure } from "./failure.js";
import { openFailures } from "./failures.js";
import { openPreflight } from "./preflight.js";
import { openPulls } from "./pulls.js";
import { here } from "./route.js";
import { showStrip, showTrouble } from "./strip.js";

const VIEWS = { failures: openFailures, pulls: openPulls, checks: openChecks, preflight: openPreflight };

const element = (id) => document.getElementById(id);
let container = "CONTAINER";
let stood = {};
let isStale = false;
let close = () => {};

function showView() {
  const { parts, query } = here();
  const main = element("main");
  close();
  main.replaceChildren();
  const view = parts[0] in VIEWS ? parts[0] : "failures";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view[0].toUpperCase()}${view.slice(1)} · Cabferry`;
  if (view === "failures" && parts.length === 3) close = openFailure(main, parts[1], parts[2], () => container);
  else close = VIEWS[view](main, query);
}

function askForSignIn() {
  const dialog = element("sign-in");
  if (dialog.open) return;
  if (session.signIn === "entra") {
    dialog.replaceChildren(h("h2", { id: "sign-in-title" }, "Sign in"), h("p", {}, "Your account opens this page."),
      h("a.button.primary", { href: session.login }, "Sign in with Microsoft"));
  } else {
    const input = h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "sign-in-why" });
    const submit = (event) => {
      event.preventDefault();
      useKey(input.value.trim());
      dialog.close();
      showWho();
      pollAll();
    };
    dialog.replaceChildren(h("h2", { id: "sign-in-title" }, "Function key"),
      h("p", { id: "sign-in-why" }, hasKey() ? "The app did not accept that key." : "The app's API wants its function key.",
        " It is kept in this tab until you close it, goes to this app alone, and never into an address."),
      h("form", { onsubmit: submit }, h("label", {}, h("span", {}, "Function key"), input), h("button.primary", { type: "submit" }, "Open")));
  }
  dialog.showModal();
}

function showWho() {
  const place = element("who");
  if (session.signIn === "entra" && session.name) {
    place.replaceChildren(h("span", {}, session.name), " ", h("a", { href: session.logout }, "Sign out"));
  } else if (session.signIn === "key" && hasKey()) {
    place.replaceChildren(h("button.quiet", { type: "button", onclick: () => { useKey(null); location.reload(); } }, "Forget the key"));
  } else place.replaceChildren();
}

const summary = new Poll("summary", 5, (body) => {
  container = body.container || container;
  stood = body;
  isStale = false;
  showStrip(element("strip"), stood);
});
let failing = [];
document.addEventListener("trouble", (event) => {
  failing = event.detail.filter((each) => each.error.status !== 401);
  showTrouble(element("trouble"), failing);
  // An answer that nothing has changed shows nothing by itself: what was grey comes back here.
  if (failing.includes(summary) === isStale) return;
  isStale = !isStale;
  showStrip(element("strip"), stood, isStale && { since: summary.knownAt });
});
setInterval(() => { if (failing.length) showTrouble(element("trouble"), failing); }, 5000);
document.addEventListener("sign-in-needed", askForSignIn);
window.addEventListener("hashchange", () => { showView(); element("main").focus(); });

try {
  await loadSession();
  showWho();
  if (session.signIn === "entra" && !session.name) askForSignIn();
  else {
    summary.start();
    showView();
  }
} catch (error) {
  element("trouble").hidden = false;
  element("trouble").textContent = `Nobody can sign in: ${error.message}`;
}
