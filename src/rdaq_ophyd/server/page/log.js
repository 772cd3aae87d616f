// What happened, newest first; told to screen readers too.

import { $, make } from "./dom.js";

const KEPT = 300;

export function note(text, kind = "") {
  const list = $("log");
  const now = new Date();
  list.prepend(make("li", { class: kind }, make("time", { datetime: now.toISOString() }, now.toLocaleTimeString()), ` ${text}`));
  while (list.children.length > KEPT) list.lastChild.remove();
  if (kind === "bad") $("said").textContent = text;
}

// Of a call that failed: in the log, and where it was asked for.
export function failed(error, where = null) {
  note(error.message, "bad");
  if (where) where.textContent = error.message;
}
