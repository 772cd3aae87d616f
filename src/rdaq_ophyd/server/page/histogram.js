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
  }

  show(sample, levels) {
    Object.assign(this, { sample, levels });
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    pen.fillStyle = style.color;
    const top = Math.log1p(Math.max(1, ...sample.bins));
    const wide = width / sample.bins.length;
    sample.bins.forEach((count, index) => {
      const high = (Math.log1p(count) / top) * height;
      pen.fillRect(index * wide, height - high, Math.max(1, wide - 0.5), high);
    });
    pen.fillStyle = style.getPropertyValue("--accent") || "#ffd166";
    for (const level of [levels.low, levels.high]) pen.fillRect(this.at(level) - 1, 0, 2, height);
    canvas.setAttribute("aria-label", `Histogram from ${brief(sample.lowest)} to ${brief(sample.highest)} counts`);
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
