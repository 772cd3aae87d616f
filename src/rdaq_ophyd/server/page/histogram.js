// The histogram of what is shown, logarithmic, with the levels; dragging moves the nearer level.

import { brief } from "./plot.js";

export class Histogram {
  constructor(canvas, onLevels) {
    Object.assign(this, { canvas, onLevels, sample: null, levels: null });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && this.drag(event));
    // Asked for at each drawing, size and colours would make the browser lay the page out in between.
    new ResizeObserver(([{ contentRect }]) => {
      Object.assign(canvas, { width: Math.round(contentRect.width), height: Math.round(contentRect.height) });
      this.draw();
    }).observe(canvas);
    addEventListener("theme", () => this.draw(this.readColours()));
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    this.colours = { bars: style.color, levels: style.getPropertyValue("--accent") };
  }

  show(sample, levels) {
    Object.assign(this, { sample, levels });
    this.draw();
    const label = `Histogram from ${brief(sample.lowest)} to ${brief(sample.highest)} counts`;
    if (label !== this.label) this.canvas.setAttribute("aria-label", label);
    this.label = label;
  }

  // Of nothing.
  clear() {
    this.sample = this.levels = null;
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.canvas.setAttribute("aria-label", (this.label = "Histogram"));
  }

  draw() {
    const { canvas, sample, levels, colours } = this;
    if (!sample) return;
    const { width, height } = canvas;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colours.bars;
    const top = Math.log1p(Math.max(1, ...sample.bins));
    const wide = width / sample.bins.length;
    sample.bins.forEach((count, index) => {
      const high = (Math.log1p(count) / top) * height;
      pen.fillRect(index * wide, height - high, Math.max(1, wide - 0.5), high);
    });
    pen.fillStyle = colours.levels;
    for (const level of [levels.low, levels.high]) pen.fillRect(this.at(level) - 1, 0, 2, height);
  }

  at(value) {
    const { lowest, highest } = this.sample;
    return ((value - lowest) / Math.max(1, highest - lowest)) * this.canvas.width;
  }

  drag(event) {
    if (!this.sample) return;
    const { lowest, highest } = this.sample;
    const value = Math.round(lowest + (event.offsetX / this.canvas.width) * Math.max(1, highest - lowest));
    const { low, high } = this.levels;
    this.onLevels(Math.abs(value - low) < Math.abs(value - high) ? { low: Math.min(value, high - 1), high } : { low, high: Math.max(value, low + 1) });
  }
}
