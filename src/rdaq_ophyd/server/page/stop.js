// STOP: on a connection of its own, so that it never waits behind frames. One click, or Escape.

import { Connection } from "./connection.js";
import { $, make, say } from "./dom.js";
import { failed, note } from "./log.js";
import { Press, WORTH } from "./press.js";

const ASIDE = "Use the hardware's own stop.";
const STANDS = "everything is stopped";
const ONE_PRESS = 1000; // ms in which a click belongs to the pointer that went down; a later one stops once more

let connection = null;
let press = null; // the newest
let escaped = false; // the key is down, and has stopped everything
let pointed = -Infinity; // ms: when a pointer went down on it last, and stopped everything
let told = "";

// At once, before anybody was let in: without a connection it goes another way.
export function listenForStop() {
  // As it goes down: whatever moves before it comes up, the press counts. A key makes only a click.
  $("stop").addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointed = performance.now();
    stopEverything();
  });
  $("stop").addEventListener("click", () => performance.now() - pointed > ONE_PRESS && stopEverything());
  // In the capture phase, and whatever has the focus: nothing on the page may keep the key for itself.
  addEventListener("keydown", pressed, { capture: true });
  addEventListener("keyup", released, { capture: true });
  addEventListener("blur", (event) => event.target === window && (escaped = false));
}

export function beginStop(place, onState) {
  connection = new Connection(place);
  connection.follow("WatchState", {}, {
    onItem: (state) => {
      showLatch(state);
      onState(state);
    },
    onError: failed,
  });
  $("reset").addEventListener("submit", (event) => {
    event.preventDefault();
    reset();
  });
  return connection;
}

// A method of input has the key for itself while it composes a word; its code is told all the same.
const isEscape = (event) => event.key === "Escape" || (event.isComposing && event.code === "Escape");

function pressed(event) {
  if (!isEscape(event) || event.repeat) return;
  escaped = true;
  stopEverything();
}

// The list of a <select>, where it is open, takes the key when it goes down, and lets the page know when it comes up.
function released(event) {
  if (!isEscape(event)) return;
  if (!escaped && document.activeElement?.tagName === "SELECT") stopEverything();
  escaped = false;
}

async function stopEverything() {
  document.body.classList.add("stopping");
  const mine = (press = new Press(connection, tellWaiting));
  if (mine.sent) say($("stop-said"), "stopping …");
  else tellWaiting(mine);
  try {
    const { verdicts } = await mine.report;
    const sure = verdicts.filter((each) => each.outcome === "confirmed").length;
    const all = verdicts.length;
    const text = all ? `${sure} of ${all} confirmed in ${(mine.age / 1000).toFixed(2)} s` : "told; no device is connected";
    note(`STOP: ${text}`, sure === all ? "" : "bad");
    conclude(mine, text);
    showVerdicts(verdicts);
  } catch (error) {
    failed(error);
    conclude(mine, `NOT CONFIRMED: ${error.message}. ${ASIDE}`);
  }
}

// Of the newest press only: what became of an older one is in the log.
function conclude(which, text) {
  if (which !== press) return;
  say($("stop-said"), text);
  document.body.classList.remove("stopping");
}

// While nobody has answered: what is known, and in the end what is not.
function tellWaiting(which) {
  if (which !== press) return;
  const seconds = (which.age / 1000).toFixed(0);
  if (which.arrived) return say($("stop-said"), "the rig has it: waiting for what each device says …");
  if (which.age < WORTH) {
    if (!which.sent) say($("stop-said"), `NOT SENT yet: ${which.why}; trying. ${ASIDE}`);
    else if (which.age > 1000) say($("stop-said"), `no answer for ${seconds} s: sending it again. ${ASIDE}`);
    return;
  }
  const at = which.when.toLocaleTimeString();
  const text = which.sent ? `NOT CONFIRMED: of the STOP at ${at} nobody knows whether it arrived` : `NOT SENT: the STOP at ${at}, ${which.why}`;
  note(`${text}; it is not sent any more`, "bad");
  conclude(which, `${text}. ${ASIDE}`);
}

async function reset() {
  const reason = $("reset-reason");
  try {
    await connection.ask("Reset", { reason: reason.value, force: $("reset-force").checked });
    note(`reset: ${reason.value}`);
    reason.value = "";
    $("reset-force").checked = false;
    $("reset-said").textContent = "";
  } catch (error) {
    failed(error, $("reset-said"));
  }
}

function showLatch(state) {
  $("latch").hidden = !state.stopped;
  document.body.classList.toggle("stopped", state.stopped);
  if (!state.stopped) {
    if (told && !document.body.classList.contains("stopping")) $("stop-said").textContent = "";
    told = "";
    return;
  }
  // Also where it was stopped from elsewhere, and the page is scrolled.
  if (!$("stop-said").textContent) $("stop-said").textContent = STANDS;
  $("latch-why").textContent = state.why;
  showVerdicts(state.verdicts);
  if (state.why !== told) note(`stopped: ${state.why}`, "bad");
  told = state.why;
}

/** A device, with its process where others of the rig have one of that name. */
function named(verdict, all) {
  const several = all.filter((each) => each.device === verdict.device).length > 1;
  return verdict.device + (several ? ` (process ${verdict.process.split("-")[0]})` : "");
}

function showVerdicts(verdicts) {
  const rows = verdicts.map((each) =>
    make(
      "tr",
      { class: each.outcome },
      make("th", { scope: "row" }, named(each, verdicts)),
      make("td", {}, each.outcome + (each.latched ? "" : ", not latched")),
      make("td", {}, `${each.seconds.toFixed(2)} s`),
      make("td", {}, each.detail),
    ),
  );
  $("verdicts").replaceChildren(...rows);
}
