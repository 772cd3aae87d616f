// Strip charts: their controls, and how they stand. The worker does all that costs time.

import { ChartGestures } from "./chart_gestures.js";
import { ChartLegend, seconds } from "./chart_legend.js";
import { ChartSources } from "./chart_sources.js";
import { $, download, make } from "./dom.js";
import { failed, note } from "./log.js";
import { brief } from "./plot.js";

const QUIET = 2000; // ms without samples after which it is said that none come
const AGED = 200; // ms between two looks at how old the newest is
const MIB = 1 << 20;
const themeNow = () => (document.documentElement.dataset.theme === "light" ? "light" : "dark");

export class Chart {
  constructor(place) {
    Object.assign(this, { told: null, columns: [], saves: new Map(), state: "none", why: "" });
    this.worker = new Worker(new URL("chart_worker.js", place), { type: "module" });
    this.worker.onmessage = ({ data }) => this[`on_${data.is}`](data);
    this.worker.onerror = (event) => note(`the chart's worker: ${event.message}`, "bad");
    const [traces, around] = [$("chart-traces"), $("chart-around")].map((canvas) => canvas.transferControlToOffscreen());
    this.send({ do: "begin", traces, around, place: place.href }, [traces, around]);
    this.sources = new ChartSources((source) => this.begin(source));
    this.legend = new ChartLegend((hidden) => this.setView({ hidden }));
    this.gestures = new ChartGestures($("chart-around"), this);
    this.controls();
    this.watchSize();
    this.setTheme();
    new MutationObserver(() => this.setTheme()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    document.addEventListener("visibilitychange", () => this.send({ do: "visible", visible: !document.hidden }));
    this.send({ do: "visible", visible: !document.hidden });
    setInterval(() => this.showState(), AGED);
  }

  send(what, transfer = []) {
    this.worker.postMessage(what, transfer);
  }

  setView(view) {
    this.send({ do: "view", view });
  }

  move(how) {
    this.send({ do: "move", ...how });
  }

  point(share) {
    this.send({ do: "point", share });
    if (share === null) $("chart-said").textContent = "";
  }

  setTheme() {
    this.send({ do: "theme", theme: themeNow() });
    this.legend.show(this.columns, themeNow());
  }

  load(connection) {
    return this.sources.load(connection);
  }

  begin(source) {
    this.legend.hidden.clear();
    this.setView({ hidden: [] });
    this.send({ do: "source", source });
    this.on_state({ state: source ? "connecting" : "none", what: "" });
  }

  // -- controls ---------------------------------------------------------------------------------------------

  controls() {
    $("chart-hold").onclick = () => this.hold();
    $("chart-span").onchange = () => $("chart-span").value && this.setView({ span: Number($("chart-span").value) });
    $("chart-clock").onchange = () => this.setView({ clock: $("chart-clock").value === "clock" });
    $("chart-log").onchange = () => this.setLog($("chart-log").checked);
    $("chart-units").onchange = () => this.showRange();
    $("chart-auto").onchange = () => this.setRange({ auto: $("chart-auto").checked });
    for (const end of ["low", "high"]) $(`chart-${end}`).onchange = () => this.typed();
    $("chart-screenshot").onclick = () => this.save();
  }

  setLog(log) {
    $("chart-log").checked = log;
    this.setView({ log });
  }

  // Of the axis that is chosen, or another one.
  setRange(range, units = $("chart-units").value) {
    if ($("chart-units").value === units && "auto" in range) $("chart-auto").checked = range.auto;
    this.setView({ range: { units, ...range } });
  }

  typed() {
    const [low, high] = [$("chart-low").valueAsNumber, $("chart-high").valueAsNumber];
    if (low < high && Number.isFinite(high - low)) this.setRange({ low, high, auto: false });
    else note("a range goes from a number to a larger one", "bad");
  }

  // Stand still, or go on with the newest; what comes meanwhile is kept.
  hold(still = this.told?.live ?? true) {
    this.move({ to: still ? "here" : "newest" });
  }

  // In the screen's own points, where the browser tells them: a canvas of another size would be blurred.
  watchSize() {
    const observer = new ResizeObserver(([entry]) => {
      const box = entry.devicePixelContentBoxSize?.[0];
      const { inlineSize: width, blockSize: height } = box ?? entry.contentBoxSize[0];
      const ratio = devicePixelRatio || 1;
      const [across, down] = [width, height].map((size) => Math.max(1, Math.round(box ? size : size * ratio)));
      this.send({ do: "size", ratio, width: across, height: down });
    });
    try {
      observer.observe($("chart-around"), { box: "device-pixel-content-box" });
    } catch {
      observer.observe($("chart-around")); // Safari has no such box
    }
  }

  // -- what the worker tells --------------------------------------------------------------------------------

  on_columns({ columns, left, anew, rate, memory }) {
    Object.assign(this, { columns, rate, memory, told: null });
    $("chart-memory").textContent = memory ? `${(memory / MIB).toFixed(0)} MiB` : "–";
    $("chart-rate").textContent = rate ? `${brief(rate)} /s` : "–";
    for (const name of ["newest", "dropped", "lost", "gaps"]) $(`chart-${name}`).textContent = "–";
    $("chart-units").replaceChildren(...[...new Set(columns.map(({ units }) => units))].map((units) => make("option", { value: units }, units || "no units")));
    this.legend.show(this.columns, themeNow());
    if (anew) note("what is sampled has changed: its chart begins anew");
    if (left) note(`the first ${columns.length} channels are charted, ${left} are not`, "bad");
  }

  on_chart(told) {
    this.told = told;
    const { dropped, missing, gaps } = told.counts;
    for (const [name, count] of Object.entries({ dropped, lost: missing - dropped, gaps })) {
      $(`chart-${name}`).textContent = count;
      $(`chart-${name}`).classList.toggle("bad", count > 0);
    }
    $("chart-hold").textContent = told.live ? "Pause" : "Resume";
    const spans = $("chart-span");
    spans.value = [...spans.options].find(({ value }) => Number(value) === told.span)?.value ?? "";
    this.showRange();
    this.legend.tell(told);
    this.showState();
  }

  on_state({ state, what }) {
    if (what && what !== this.why) note(`chart: ${what}`, "bad");
    Object.assign(this, { state, why: what });
    this.showState();
  }

  on_saved({ number, blob, error }) {
    const { resolve, reject } = this.saves.get(number);
    this.saves.delete(number);
    if (error) reject(new Error(error));
    else resolve(blob);
  }

  // Ms since the newest sample came; Infinity without any.
  get silent() {
    return this.told?.heard ? Date.now() - this.told.heard : Infinity;
  }

  showState() {
    const quiet = this.silent > QUIET;
    const [kind, name] = this.sources.chosen.split(":");
    const texts = {
      none: "nothing is charted: choose a source",
      connecting: "connecting",
      lost: "no samples: the connection broke",
      error: `no samples: ${this.why}`,
    };
    const unread = this.told?.counts.received ? "no readings at the moment" : "no reading yet";
    const none = kind === "samples" ? `no samples at the moment: they come while a plan uses ${name}` : unread;
    const live = this.told?.pending ? "paused: newer samples are kept" : quiet ? none : "";
    const text = texts[this.state] ?? live;
    if ($("chart-state").textContent !== text) $("chart-state").textContent = text;
    const empty = !this.told?.counts.received;
    $("chart-none").hidden = !empty;
    if (empty && $("chart-none").textContent !== text) $("chart-none").textContent = text;
    if (this.told?.heard) $("chart-newest").textContent = `${seconds(Math.round(this.silent / 100) / 10)} ago`;
  }

  showRange() {
    const found = this.told?.ranges?.find(({ units }) => units === $("chart-units").value);
    if (!found) return;
    $("chart-auto").checked = found.auto;
    for (const end of ["low", "high"]) {
      if (document.activeElement !== $(`chart-${end}`)) $(`chart-${end}`).value = Number(found[end].toPrecision(6));
    }
  }

  // -- pictures ---------------------------------------------------------------------------------------------

  // The picture with its axes, or the traces alone.
  picture(layer = "all") {
    const number = (this.lastSave = (this.lastSave ?? 0) + 1);
    return new Promise((resolve, reject) => {
      this.saves.set(number, { resolve, reject });
      this.send({ do: "save", number, layer });
    });
  }

  async save() {
    try {
      download(await this.picture(), `chart-${new Date().toISOString().replaceAll(":", "")}.png`);
    } catch (error) {
      failed(error);
    }
  }
}
