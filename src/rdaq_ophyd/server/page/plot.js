// A plot with axes on a canvas: ticks at round numbers, units, a cursor that tells what it is on.

import { reduced, squares, whole } from "./plot_reduced.js";

// Of Okabe and Ito's palette (Color Universal Design, 2008), which colour-blind people tell apart; lighter or darker where
// the background asks for it.
export const COLOURS = {
  dark: ["#56b4e9", "#e69f00", "#2bb58c", "#f0e442", "#e8743b", "#d68bb5", "#7fa7ff", "#ffffff"],
  light: ["#0072b2", "#c24f00", "#009e73", "#5e2750", "#2a2aa8", "#000000", "#7a6a00", "#9c3f78"],
};
const MARGIN = { left: 62, right: 10, top: 8, bottom: 34 };
const STEPS = [1, 2, 5, 10];
const EVERY = 100; // ms between two drawings of what comes: more cannot be read, and the page has other things to draw
const MARKED = 2; // px a point on the average, below which points are not marked: they would cover each other
const MOST = 8; // corners of a line for each px across, beyond which squares are drawn instead
const SQUARE = 3; // px

// Round numbers between two numbers, about `wanted` of them.
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * STEPS.find((each) => each * power >= rough * 0.999);
  const found = [];
  for (let number = Math.ceil(low / step); number * step <= high + step * 1e-9; number++) found.push(number * step);
  return found;
}

// A number as short as it may be.
export function brief(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

export const axisLabel = (name, units) => (units ? `${name} (${units})` : name);

export class Plot {
  // `canvas` is drawn on; `said` (an element) tells what the cursor is on.
  constructor(canvas, said) {
    Object.assign(this, { canvas, said, traces: [], x: { label: "" }, y: { label: "" }, cursor: null, points: true });
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(canvas);
    addEventListener("theme", () => this.schedule());
  }

  // traces: [{name, x: array, y: array}]; values that are null or NaN are gaps.
  show({ traces, x, y, points = true }) {
    Object.assign(this, { traces, x, y, points });
    this.schedule();
  }

  schedule(every = EVERY) {
    if (this.due) return;
    this.due = true;
    const wait = Math.max(0, every - (performance.now() - (this.drawnAt ?? -EVERY)));
    setTimeout(() =>
      requestAnimationFrame(() => {
        this.due = false;
        this.draw();
      }), wait);
  }

  point(event) {
    this.cursor = event && { x: event.offsetX, y: event.offsetY };
    this.schedule(0);
  }

  range(axis) {
    let [low, high] = [Infinity, -Infinity];
    for (const trace of this.traces) {
      for (const value of trace[axis]) {
        if (value < low && value !== null) low = value;
        if (value > high && value !== null) high = value;
      }
    }
    if (low > high) return [0, 1];
    const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.04;
    return [low - room, high + room];
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }
    this.drawnAt = performance.now();
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    this.frame = { left: MARGIN.left, top: MARGIN.top, right: width - MARGIN.right, bottom: height - MARGIN.bottom };
    [this.xs, this.ys] = [this.range("x"), this.range("y")];
    this.axes(pen, style.color, style.getPropertyValue("--grid") || "#333");
    const colours = COLOURS[document.documentElement.dataset.theme];
    this.traces.forEach((trace, index) => this.trace(pen, trace, colours[index % colours.length]));
    this.readOut(pen, style.color);
  }

  atX(value) {
    const { left, right } = this.frame;
    return left + ((value - this.xs[0]) / (this.xs[1] - this.xs[0])) * (right - left);
  }

  atY(value) {
    const { top, bottom } = this.frame;
    return bottom - ((value - this.ys[0]) / (this.ys[1] - this.ys[0])) * (bottom - top);
  }

  axes(pen, colour, grid) {
    const { left, right, top, bottom } = this.frame;
    Object.assign(pen, { font: "11px system-ui, sans-serif", fillStyle: colour, strokeStyle: grid, lineWidth: 1 });
    pen.beginPath();
    pen.textAlign = "center";
    for (const value of ticks(...this.xs, (right - left) / 80)) {
      pen.moveTo(this.atX(value), top);
      pen.lineTo(this.atX(value), bottom);
      pen.fillText(brief(Number(value.toPrecision(12))), this.atX(value), bottom + 13);
    }
    pen.textAlign = "right";
    for (const value of ticks(...this.ys, (bottom - top) / 36)) {
      pen.moveTo(left, this.atY(value));
      pen.lineTo(right, this.atY(value));
      pen.fillText(brief(Number(value.toPrecision(12))), left - 5, this.atY(value) + 4);
    }
    pen.stroke();
    pen.textAlign = "center";
    pen.fillText(this.x.label, (left + right) / 2, bottom + 28);
    pen.save();
    pen.translate(11, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(this.y.label, 0, 0);
    pen.restore();
  }

  trace(pen, { x, y }, colour) {
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.5 });
    const { left, right, bottom } = this.frame;
    const [atX, atY] = [(value) => this.atX(value), (value) => this.atY(value)];
    const marked = this.points && y.length * MARKED <= right - left;
    const line = marked ? whole(x, y, atX, atY) : reduced(x, y, atX, atY);
    this.drawn = line.x.length;
    if (this.drawn > MOST * (right - left)) {
      const corners = squares(x, y, atX, atY, SQUARE, right, bottom);
      this.drawn = corners.length;
      for (const [column, row] of corners) pen.fillRect(column * SQUARE, row * SQUARE, SQUARE, SQUARE);
      return;
    }
    pen.beginPath();
    line.x.forEach((across, index) => {
      const up = line.y[index];
      if (line.begins[index]) pen.moveTo(across, up);
      else pen.lineTo(across, up);
      const alone = line.begins[index] && (line.begins[index + 1] ?? true);
      if (marked || alone) pen.rect(across - 1.5, up - 1.5, 3, 3), pen.moveTo(across, up);
    });
    pen.stroke();
  }

  // The point of each trace that is nearest to the cursor along x.
  readOut(pen, colour) {
    const { left, right } = this.frame;
    const cursor = this.cursor;
    if (!cursor || cursor.x < left || cursor.x > right || !this.traces.length) {
      this.said.textContent = "";
      return;
    }
    const wanted = this.xs[0] + ((cursor.x - left) / (right - left)) * (this.xs[1] - this.xs[0]);
    const words = this.traces.map((trace) => {
      let best = -1;
      for (let index = 0; index < trace.x.length; index++) {
        if (best < 0 || Math.abs(trace.x[index] - wanted) < Math.abs(trace.x[best] - wanted)) best = index;
      }
      return best < 0 ? "" : `${trace.name} ${brief(trace.y[best])} at ${brief(trace.x[best])}`;
    });
    this.said.textContent = words.filter(Boolean).join("   ");
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.moveTo(cursor.x, this.frame.top);
    pen.lineTo(cursor.x, this.frame.bottom);
    pen.stroke();
  }
}
