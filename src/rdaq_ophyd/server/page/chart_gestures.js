// Mouse, touch and keys on the chart: zoom and pan in time, the cursor, a pause; with Shift the wheel zooms values.

const STEP = 1.5; // a zoom by key
const SHARE = 0.1; // of the window, a pan by key
const CURSOR = 0.01; // of the window, a step of the cursor by key

export class ChartGestures {
  constructor(element, chart) {
    Object.assign(this, { element, chart, from: null, share: null });
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => (this.from = null));
    element.addEventListener("pointerleave", () => this.point(null));
    element.addEventListener("dblclick", () => chart.move({ to: "newest" }));
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  // The panes, in CSS pixels; they lie one below the other.
  get panes() {
    const ratio = devicePixelRatio || 1;
    return (this.chart.told?.panes ?? []).map((pane, index) => {
      const [left, top, width, height] = [pane.left, pane.top, pane.width, pane.height].map((each) => each / ratio);
      return { left, top, width, height, range: this.chart.told.ranges[index] };
    });
  }

  shareOf(x) {
    const [pane] = this.panes;
    return pane ? (x - pane.left) / pane.width : null;
  }

  point(share) {
    this.share = share !== null && share >= 0 && share <= 1 ? share : null;
    this.chart.point(this.share);
  }

  down(event) {
    if (event.button) return;
    this.element.setPointerCapture(event.pointerId);
    this.from = event.offsetX;
  }

  moved(event) {
    const [pane] = this.panes;
    if (!pane) return;
    if (this.from !== null && event.offsetX !== this.from) {
      this.chart.move({ pan: (this.from - event.offsetX) / pane.width });
      this.from = event.offsetX;
    }
    this.point(this.shareOf(event.offsetX));
  }

  wheel(event) {
    const pane = this.panes.find(({ top, height }) => event.offsetY >= top && event.offsetY <= top + height);
    if (!pane) return;
    event.preventDefault();
    const delta = event.deltaY || event.deltaX; // browsers turn the wheel sideways with Shift
    const factor = 1.0015 ** delta;
    if (event.shiftKey) this.zoomValues(pane, factor, (event.offsetY - pane.top) / pane.height);
    else this.chart.move({ zoom: factor, share: Math.min(1, Math.max(0, this.shareOf(event.offsetX))) });
  }

  // The value under the pointer stays where it is.
  zoomValues({ range }, factor, down) {
    const [low, high] = range.log ? [Math.log10(range.low), Math.log10(range.high)] : [range.low, range.high];
    const at = high - down * (high - low);
    const ends = [at - (at - low) * factor, at + (high - at) * factor].map((end) => (range.log ? 10 ** end : end));
    if (ends[0] < ends[1]) this.chart.setRange({ low: ends[0], high: ends[1], auto: false }, range.units);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { chart } = this;
    const cursor = (steps) => () => this.point(Math.min(1, Math.max(0, (this.share ?? 0.5) + steps * CURSOR)));
    const act = {
      "+": () => chart.move({ zoom: 1 / STEP }),
      "=": () => chart.move({ zoom: 1 / STEP }),
      "-": () => chart.move({ zoom: STEP }),
      ArrowLeft: () => chart.move({ pan: -SHARE }),
      ArrowRight: () => chart.move({ pan: SHARE }),
      Home: () => chart.move({ to: "oldest" }),
      End: () => chart.move({ to: "newest" }),
      " ": () => chart.hold(),
      ",": cursor(-1),
      ".": cursor(1),
      "<": cursor(-10),
      ">": cursor(10),
      a: () => chart.setRange({ auto: true }),
      l: () => chart.setLog(!document.getElementById("chart-log").checked),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}
