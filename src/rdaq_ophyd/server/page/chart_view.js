// What part of the history is shown: newest or standing, how long, and each axis' range.

import { ticks } from "./plot.js";

const LONGEST = 30 * 86400; // s
const FEWEST = 8; // samples in the window
const DECADES = 1e6; // that a logarithmic axis shows where values reach down to zero
const LOOSE = 0.4; // of an automatic range has to be used, or it is made anew
const GAP = 10; // CSS pixels between panes
export const MARGIN = { left: 64, right: 12, top: 8, bottom: 36 };

export class ChartView {
  constructor() {
    Object.assign(this, { span: 10, end: null, log: false, clock: true, hidden: new Set(), ranges: new Map() });
  }

  // Whether the newest samples are shown.
  get live() {
    return this.end === null;
  }

  // From when to when, in whole columns of the screen: else a column would show others at each step. The newest one may be
  // unfinished; a window that stands has none in which something could still come.
  window(timeline, columns) {
    const perColumn = this.span / Math.max(1, columns);
    const to = (this.live ? Math.ceil((timeline.end ?? 0) / perColumn) : Math.floor(this.end / perColumn)) * perColumn;
    return { from: to - columns * perColumn, to, perColumn };
  }

  // A window stays where there is something, and is neither longer than ever nor shorter than some samples.
  clamp(timeline) {
    if (timeline.end === null) return;
    const begin = timeline.begin;
    this.span = Math.min(Math.max(this.span, FEWEST / timeline.schema.rate), LONGEST);
    if (this.end !== null) this.end = Math.min(timeline.end, Math.max(begin + Math.min(this.span, timeline.end - begin), this.end));
  }

  // The moment under `share` of the window stays where it is; while it follows the newest, the end does.
  zoom(factor, share, timeline) {
    const before = this.span;
    this.span *= factor;
    this.clamp(timeline);
    if (!this.live) this.end += (before - this.span) * (share - 1);
    this.clamp(timeline);
  }

  pan(share, timeline) {
    this.end = (this.end ?? timeline.end ?? 0) + share * this.span;
    this.clamp(timeline);
  }

  // Stand still at what is shown now, or go on with the newest.
  hold(timeline) {
    this.end = timeline.end;
  }

  follow() {
    this.end = null;
  }

  // -- values -----------------------------------------------------------------------------------------------

  range(units) {
    if (!this.ranges.has(units)) this.ranges.set(units, { auto: true, low: 0, high: 1 });
    return this.ranges.get(units);
  }

  // An axis for each of the units, with its traces, in one pane below the other; in points of the canvas.
  panes(timeline, width, height, ratio) {
    const groups = new Map();
    timeline.columns.forEach(({ units }, trace) => {
      if (!this.hidden.has(trace)) groups.set(units, [...(groups.get(units) ?? []), trace]);
    });
    const room = height - (MARGIN.top + MARGIN.bottom + GAP * (groups.size - 1)) * ratio;
    const each = Math.max(0, Math.floor(room / Math.max(1, groups.size)));
    const left = Math.round(MARGIN.left * ratio);
    return [...groups].map(([units, traces], index) => ({
      units,
      traces,
      left,
      top: Math.round(MARGIN.top * ratio + index * (each + GAP * ratio)),
      width: Math.max(0, width - left - Math.round(MARGIN.right * ratio)),
      height: each,
    }));
  }

  // The axis of a pane. An automatic one holds still while the values fill a good part of it.
  axis({ units, traces }, timeline, { from, to }) {
    const range = this.range(units);
    if (range.auto) {
      let [low, high] = [Infinity, -Infinity];
      for (const trace of traces) {
        const found = timeline.extremes(trace, from, to);
        if (found) [low, high] = [Math.min(low, found.low), Math.max(high, found.high)];
      }
      if (low <= high && !(this.log ? suitsLog(range, low, high) : suits(range, low, high))) {
        Object.assign(range, this.log ? around(high, low) : rounded(low, high), { fitted: true, log: this.log, flat: low === high });
      }
    }
    if (!this.log) return { low: range.low, high: range.high, log: false };
    const high = range.high > 0 ? range.high : 1;
    return { low: range.low > 0 && range.low < high ? range.low : high / DECADES, high, log: true };
  }
}

const suits = (range, low, high) =>
  range.fitted && !range.log && low >= range.low && high <= range.high && (high - low >= LOOSE * (range.high - range.low) || (range.flat && high === low));

const suitsLog = (range, low, high) => {
  const shown = Math.max(low, high / DECADES);
  return range.fitted && range.log && shown >= range.low && high <= range.high && Math.log(high / shown) >= LOOSE * Math.log(range.high / range.low);
};

// A little more than the values need, to round numbers.
function rounded(low, high) {
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.05;
  const found = ticks(low - room, high + room, 20);
  const step = found.length > 1 ? found[1] - found[0] : room;
  return { low: Math.floor((low - room) / step) * step, high: Math.ceil((high + room) / step) * step };
}

function around(high, low) {
  if (!(high > 0)) return { low: 1 / DECADES, high: 1 };
  return { low: Math.max(low, high / DECADES) / 1.3, high: high * 1.3 };
}
