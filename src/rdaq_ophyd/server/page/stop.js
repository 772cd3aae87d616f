// STOP: on a connection of its own, so that it never waits behind frames. One click, or Escape.

import { Connection } from "./connection.js";
import { $, make } from "./dom.js";
import { failed, note } from "./log.js";

const WORTH = 5000; // ms in which a stop that could not be sent is sent when the connection is back

let connection;
let pressed = 0; // when it was pressed without a connection
let told = "";

export function beginStop(place, onState) {
  connection = new Connection(place);
  connection.follow("WatchState", {}, {
    onItem: (state) => {
      showLatch(state);
      onState(state);
    },
    onError: failed,
  });
  connection.addEventListener("open", () => {
    if (performance.now() - pressed < WORTH && pressed) stopEverything();
  });
  $("stop").addEventListener("click", stopEverything);
  // In the capture phase, and whatever has the focus: nothing on the page may keep the key for itself.
  addEventListener("keydown", (event) => event.key === "Escape" && !event.repeat && stopEverything(), { capture: true });
  $("reset").addEventListener("submit", (event) => {
    event.preventDefault();
    reset();
  });
  return connection;
}

async function stopEverything() {
  const began = performance.now();
  document.body.classList.add("stopping");
  $("stop-said").textContent = "stopping …";
  if (!connection.isOpen) {
    pressed = began;
    $("stop-said").textContent = "NOT SENT: no connection. Use the hardware's own stop.";
    note("STOP was not sent: there is no connection", "bad");
    return;
  }
  pressed = 0;
  try {
    const report = await connection.ask("StopAll", { reason: "STOP in the browser" });
    const sure = report.verdicts.filter((each) => each.outcome === "confirmed").length;
    const all = report.verdicts.length;
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const text = all ? `${sure} of ${all} confirmed in ${seconds} s` : "told; no device is connected";
    $("stop-said").textContent = text;
    note(`STOP: ${text}`, sure === all ? "" : "bad");
    showVerdicts(report.verdicts);
  } catch (error) {
    $("stop-said").textContent = "NOT CONFIRMED";
    failed(error);
  }
  document.body.classList.remove("stopping");
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
    if (told) $("stop-said").textContent = "";
    told = "";
    return;
  }
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
