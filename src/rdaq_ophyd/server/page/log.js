// What happened, newest first, with its severity in words; told to screen readers too. What the rig itself logs comes with it.

import { $, make, remember, remembered } from "./dom.js";

const KEPT = 300;
const NEWS = 10_000; // ms: what went wrong before is in the list, and told to nobody
const WORDS = { bad: "error", warn: "warning" };

export function note(text, kind = "", { time = new Date(), by = "" } = {}) {
  const list = $("log");
  const about = [make("time", { datetime: time.toISOString() }, time.toLocaleTimeString()), " "];
  if (WORDS[kind]) about.push(make("strong", { class: "level" }, WORDS[kind]), " ");
  if (by) about.push(make("code", {}, by), " ");
  list.prepend(make("li", { class: kind || "info" }, ...about, text));
  while (list.children.length > KEPT) list.lastChild.remove();
  if (kind === "bad" && Date.now() - time < NEWS) $("said").textContent = text;
}

// Of a call that failed: in the log, and where it was asked for.
export function failed(error, where = null) {
  note(error.message, "bad");
  if (where) where.textContent = error.message;
}

// Which severities are shown; the others are kept.
export function beginLog() {
  const chooser = $("log-level");
  const show = () => ($("log").dataset.least = chooser.value);
  chooser.value = remembered("log", "info");
  if (!chooser.value) chooser.value = "info";
  chooser.onchange = () => {
    remember("log", chooser.value);
    show();
  };
  show();
}

// A line of the rig's own log, which has the levels of Python's logging.
export function noteLine({ time, level, logger, text }) {
  const kind = level === "WARNING" ? "warn" : ["ERROR", "CRITICAL"].includes(level) ? "bad" : "";
  note(text, kind, { time: new Date(1000 * time), by: logger });
}
