// What is drawn over the image: region, line, crosshair. All in pixels of the sensor, wherever the view is.

const ROI = "#ffd166";
const LINE = "#4cc9f0";

export class Overlay {
  constructor(canvas) {
    Object.assign(this, { canvas, view: null, roi: null, line: null, pointer: null });
  }

  // From a place on the canvas (CSS pixels) to one on the sensor, and back.
  toFrame(x, y) {
    const { ratio, view, canvas } = this;
    return { x: view.x + (x * ratio - canvas.width / 2) / view.zoom, y: view.y + (y * ratio - canvas.height / 2) / view.zoom };
  }

  toScreen(x, y) {
    const { view, canvas } = this;
    return [(x - view.x) * view.zoom + canvas.width / 2, (y - view.y) * view.zoom + canvas.height / 2];
  }

  get ratio() {
    return this.canvas.width / Math.max(1, this.canvas.clientWidth);
  }

  draw(pen = this.canvas.getContext("2d"), clear = true) {
    const { width, height } = this.canvas;
    if (clear) pen.clearRect(0, 0, width, height);
    if (!this.view) return;
    pen.lineWidth = Math.max(1, this.ratio * 1.5);
    if (this.pointer) {
      const [x, y] = this.toScreen(this.pointer.x, this.pointer.y);
      pen.strokeStyle = "rgba(255,255,255,0.45)";
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
    }
    if (this.roi) {
      const [left, top] = this.toScreen(this.roi.x, this.roi.y);
      pen.strokeStyle = ROI;
      pen.strokeRect(left, top, this.roi.width * this.view.zoom, this.roi.height * this.view.zoom);
    }
    if (this.line) {
      const from = this.toScreen(this.line.x0, this.line.y0);
      const to = this.toScreen(this.line.x1, this.line.y1);
      pen.strokeStyle = LINE;
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
      pen.fillStyle = LINE;
      for (const [x, y] of [from, to]) pen.fillRect(x - 3, y - 3, 6, 6);
    }
  }
}
