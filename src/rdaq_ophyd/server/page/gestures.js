// Mouse, touch and keys on the image: pan, zoom about the pointer, draw a region or a line.

const STEP = 1.25; // a zoom by key
const SHARE = 0.1; // of the view, a pan by key

export class Gestures {
  // `onView`, `onMarks` and `onPointer` are told what changed; `tool()` says what a drag does: pan, roi, line.
  constructor(element, overlay, { onView, onMarks, onPointer, tool }) {
    Object.assign(this, { element, overlay, onView, onMarks, onPointer, tool, from: null });
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", () => (this.from = null));
    element.addEventListener("pointercancel", () => (this.from = null));
    element.addEventListener("pointerleave", () => this.onPointer(null));
    element.addEventListener("dblclick", () => this.onView({ fit: true }));
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  place(event) {
    return this.overlay.toFrame(event.offsetX, event.offsetY);
  }

  down(event) {
    if (!this.overlay.view || event.button) return;
    this.element.setPointerCapture(event.pointerId);
    this.from = { place: this.place(event), x: event.offsetX, y: event.offsetY, view: { ...this.overlay.view } };
  }

  move(event) {
    if (!this.overlay.view) return;
    const here = this.place(event);
    this.onPointer(here);
    if (!this.from) return;
    const { place, view } = this.from;
    const tool = this.tool();
    if (tool === "pan") {
      const factor = this.overlay.ratio / view.zoom;
      const [x, y] = [view.x - (event.offsetX - this.from.x) * factor, view.y - (event.offsetY - this.from.y) * factor];
      this.onView({ fit: false, x, y });
    } else if (tool === "line") {
      this.marked = "line";
      this.onMarks({ line: { x0: place.x, y0: place.y, x1: here.x, y1: here.y } });
    } else {
      this.marked = "roi";
      const [left, top] = [Math.floor(Math.min(place.x, here.x)), Math.floor(Math.min(place.y, here.y))];
      const [right, bottom] = [Math.ceil(Math.max(place.x, here.x)), Math.ceil(Math.max(place.y, here.y))];
      this.onMarks({ roi: { x: left, y: top, width: right - left, height: bottom - top } });
    }
  }

  wheel(event) {
    if (!this.overlay.view) return;
    event.preventDefault();
    this.zoom(1.0015 ** -event.deltaY, this.place(event));
  }

  // What is under `place` stays where it is.
  zoom(factor, place = this.overlay.view) {
    const view = this.overlay.view;
    const zoom = Math.min(64, Math.max(0.01, view.zoom * factor));
    const share = view.zoom / zoom;
    this.onView({ fit: false, zoom, x: place.x + (view.x - place.x) * share, y: place.y + (view.y - place.y) * share });
  }

  key(event) {
    const view = this.overlay.view;
    if (!view || event.ctrlKey || event.metaKey || (event.altKey && !event.shiftKey)) return;
    if (event.shiftKey && event.key.startsWith("Arrow")) return this.shift(event);
    const { width, height } = this.overlay.canvas;
    const pan = (across, down) => () =>
      this.onView({ fit: false, x: view.x + (across * width * SHARE) / view.zoom, y: view.y + (down * height * SHARE) / view.zoom });
    const act = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      f: () => this.onView({ fit: true }),
      1: () => this.onView({ fit: false, zoom: 1 }),
      ArrowLeft: pan(-1, 0),
      ArrowRight: pan(1, 0),
      ArrowUp: pan(0, -1),
      ArrowDown: pan(0, 1),
      r: () => this.onMarks({ roi: this.middle() }),
      l: () => this.onMarks({ line: this.across() }),
      Delete: () => this.onMarks({ roi: null, line: null }),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // A region, or a line, in the middle of what is seen: a fifth of it wide.
  middle() {
    const { view, canvas } = this.overlay;
    const [width, height] = [canvas.width, canvas.height].map((size) => Math.max(1, Math.round((0.2 * size) / view.zoom)));
    this.marked = "roi";
    return { x: Math.round(view.x - width / 2), y: Math.round(view.y - height / 2), width, height };
  }

  across() {
    const { x, y, width } = this.middle();
    this.marked = "line";
    const middle = Math.floor(this.overlay.view.y) + 0.5;
    return { x0: x, y0: middle, x1: x + width, y1: middle };
  }

  // Shift and an arrow move the mark that was made last by a pixel, with Alt its far end alone.
  shift(event) {
    const mark = this.overlay[this.marked ?? "roi"];
    if (!mark) return;
    event.preventDefault();
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const { x, y, width, height, x0, y0, x1, y1 } = mark;
    if (this.marked === "line") {
      const begin = event.altKey ? { x0, y0 } : { x0: x0 + across, y0: y0 + down };
      this.onMarks({ line: { ...begin, x1: x1 + across, y1: y1 + down } });
    } else if (event.altKey) {
      this.onMarks({ roi: { x, y, width: Math.max(1, width + across), height: Math.max(1, height + down) } });
    } else {
      this.onMarks({ roi: { x: x + across, y: y + down, width, height } });
    }
  }
}
