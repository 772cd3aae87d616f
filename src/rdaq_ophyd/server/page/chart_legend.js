// The traces by their names: shown or hidden, and the value of each where the cursor is, or its newest.

import { clockTime } from "./chart_axes.js";
import { colourOf } from "./chart_colours.js";
import { $, make } from "./dom.js";
import { axisLabel, brief } from "./plot.js";

const FINEST = 0.1; // s: a moment is told to this at least

export const seconds = (time) => (Math.abs(time) < 10 ? `${brief(Number(time.toFixed(3)))} s` : `${Math.round(time)} s`);

export class ChartLegend {
  constructor(onHidden) {
    Object.assign(this, { onHidden, hidden: new Set(), outputs: [] });
  }

  // Columns: [{name, units}].
  show(columns, theme) {
    this.outputs = columns.map(() => make("output", { class: "now", "aria-live": "off" }));
    const labels = columns.map(({ name, units }, trace) => {
      const swatch = make("span", { "aria-hidden": "true" }, "■");
      swatch.style.color = colourOf(theme, trace);
      const box = make("input", { type: "checkbox", checked: !this.hidden.has(trace), onchange: () => this.hide(trace, !box.checked) });
      return make("label", {}, box, swatch, ` ${axisLabel(name, units)} `, this.outputs[trace]);
    });
    $("chart-legend").replaceChildren(...labels);
  }

  hide(trace, hidden) {
    if (hidden) this.hidden.add(trace);
    else this.hidden.delete(trace);
    this.onHidden([...this.hidden]);
  }

  // What the worker told last.
  tell({ cursor, origin, end, window, newest }) {
    const values = cursor ? (cursor.found?.values ?? []) : (newest ?? []);
    this.outputs.forEach((output, trace) => {
      const value = values[trace];
      const text = !value ? "–" : value.low === value.high ? brief(value.low) : `${brief(value.low)} to ${brief(value.high)}`;
      if (output.textContent !== text) output.textContent = text;
    });
    if (!cursor) return;
    const time = cursor.found?.time ?? cursor.time;
    const step = Math.min((window.to - window.from) / 1000, FINEST);
    const words = [`${clockTime(origin + time, step)} (${seconds(time - end)})`, ...inWords(cursor.gap), cursor.found ? "" : "no samples"];
    $("chart-said").textContent = words.filter(Boolean).join(" · ");
  }
}

function inWords(gap) {
  if (!gap) return [];
  const { missing, dropped, restarted, cut } = gap;
  const words = [];
  if (restarted) words.push("the source began anew here");
  if (cut) words.push("the connection was broken here");
  if (missing) words.push(`${missing} samples are missing here, ${dropped} of them not taken in time`);
  return words.length ? words : ["nothing was read here"];
}
