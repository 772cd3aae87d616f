// What stands around and over the traces: axes with units, gaps, and the cursor. Drawn in the worker, on a canvas of its own.

import { axisLabel, brief, ticks } from "./plot.js";

const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const TEXT = "11px system-ui, sans-serif";
const NARROWEST = 2; // CSS pixels of a gap

// Local time of day, with as many decimals as tell two ticks from each other.
export function clockTime(seconds, step = 1) {
  const decimals = step < 1 ? Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
  const unit = 10 ** decimals;
  const whole = Math.round(seconds * unit);
  const date = new Date(Math.floor(whole / unit) * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const rest = ((whole % unit) + unit) % unit;
  return decimals ? `${text}.${String(rest).padStart(decimals, "0")}` : text;
}

// Moments at round times of day.
export function clockTicks(from, to, wanted) {
  const rough = (to - from) / Math.max(1, wanted);
  if (rough < 1) return ticks(from, to, wanted);
  const step = CLOCK_STEPS.find((each) => each >= rough) ?? Math.ceil(rough / 86400) * 86400;
  const zone = new Date(from * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) found.push(at);
  return found;
}

// Round numbers of a logarithmic axis: decades, or where it has less than two, what a linear one has.
export function logTicks(low, high) {
  const decades = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high * 1.000001; power++) decades.push(10 ** power);
  return decades.length > 1 ? decades : ticks(low, high, 5).filter((value) => value > 0);
}

export class ChartAxes {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
  }

  clear() {
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // scene: {panes, axes, window, timeline, clock, gaps, cursor, ratio, theme}; a pane in points of the canvas.
  draw(scene) {
    const { pen } = this;
    const { panes, axes, window, ratio } = scene;
    this.clear();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = TEXT;
    panes.forEach((pane, index) => {
      const box = { left: pane.left / ratio, top: pane.top / ratio, width: pane.width / ratio, height: pane.height / ratio };
      if (box.width < 1 || box.height < 1) return;
      const toX = (time) => box.left + ((time - window.from) / (window.to - window.from)) * box.width;
      this.gaps(scene, box, toX);
      this.timeAxis(scene, box, toX, index === panes.length - 1);
      this.valueAxis(scene, box, pane, axes[index]);
      if (scene.cursor) this.line(scene.theme.text, toX(scene.cursor.time), box);
    });
  }

  line(colour, x, { left, top, width, height }) {
    if (x < left || x > left + width) return;
    Object.assign(this.pen, { strokeStyle: colour, lineWidth: 1 });
    this.pen.beginPath();
    this.pen.moveTo(x, top);
    this.pen.lineTo(x, top + height);
    this.pen.stroke();
  }

  // With a bar above and below, so that they are seen without colours too.
  gaps({ gaps, theme }, { left, top, width, height }, toX) {
    const { pen } = this;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    for (const { from, to } of gaps) {
      const wide = Math.max(NARROWEST, toX(to) - toX(from));
      const middle = (toX(from) + toX(to)) / 2;
      pen.fillStyle = theme.gap;
      pen.globalAlpha = 0.25;
      pen.fillRect(middle - wide / 2, top, wide, height);
      pen.globalAlpha = 1;
      pen.fillRect(middle - wide / 2, top, wide, 3);
      pen.fillRect(middle - wide / 2, top + height - 3, wide, 3);
    }
    pen.restore();
  }

  timeAxis({ window, timeline, clock, theme }, { left, top, width, height }, toX, last) {
    const { pen } = this;
    const zero = clock ? -timeline.origin : timeline.end; // what is told is time minus this
    const [from, to] = [window.from - zero, window.to - zero];
    const wanted = width / 95;
    const found = clock ? clockTicks(from, to, wanted) : ticks(from, to, wanted);
    const step = found.length > 1 ? found[1] - found[0] : to - from;
    Object.assign(pen, { strokeStyle: theme.grid, fillStyle: theme.dim, lineWidth: 1, textAlign: "center", textBaseline: "alphabetic" });
    pen.beginPath();
    for (const at of found) {
      const x = toX(at + zero);
      pen.moveTo(x, top);
      pen.lineTo(x, top + height);
      const text = clock ? clockTime(at, step) : brief(Number((at || 0).toPrecision(12)));
      if (last && x > left + 20 && x < left + width - 16) pen.fillText(text, x, top + height + 14);
    }
    pen.stroke();
    if (last) pen.fillText(clock ? "time of day (h:min:s)" : "time before the newest sample (s)", left + width / 2, top + height + 30);
  }

  valueAxis({ theme }, { left, top, width, height }, { units }, { low, high, log }) {
    const { pen } = this;
    const [bottom, upper] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
    const found = log ? logTicks(low, high) : ticks(low, high, height / 36);
    Object.assign(pen, { strokeStyle: theme.grid, fillStyle: theme.dim, lineWidth: 1, textAlign: "right", textBaseline: "middle" });
    pen.beginPath();
    for (const value of found) {
      const y = top + height - (((log ? Math.log10(value) : value) - bottom) / (upper - bottom)) * height;
      pen.moveTo(left, y);
      pen.lineTo(left + width, y);
      pen.fillText(brief(Number(value.toPrecision(12))), left - 5, y);
    }
    pen.rect(left, top, width, height);
    pen.stroke();
    pen.save();
    pen.translate(10, top + height / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(axisLabel("value", units), 0, 0);
    pen.restore();
  }
}
