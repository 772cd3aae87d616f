// Strip charts: their controls, legend, and what the cursor is on. The worker does all that costs time.

import { clockTime } from "./chart_axes.js";
import { colourOf } from "./chart_colours.js";
import { ChartGestures } from "./chart_gestures.js";
import { $, download, make, remember, remembered } from "./dom.js";
import { failed, note } from "./log.js";
import { axisLabel, brief } from "./plot.js";

const QUIET = 2000; // ms without samples after which it is said that none come
const AGED = 200; // ms between two looks at how old the newest is
const MIB = 1 << 20;
const seconds = (time) => (Math.abs(time) < 10 ? `${brief(Number(time.toFixed(3)))} s` : `${Math.round(time)} s`);
const themeNow = () => (document.documentElement.dataset.theme === "light" ? "light" : "dark");

export class Chart {
  constructor(place) {
    Object.assign(this, { told: null, columns: [], hidden: new Set(), saves: new Map(), state: "none", why: "", chosen: "" });
    this.worker = new Worker(new URL("chart_worker.js", place), { type: "module" });
    this.worker.onmessage = ({ data }) => this[`on_${data.is}`](data);
    this.worker.onerror = (event) => note(`the chart's worker: ${event.message}`, "bad");
    const [traces, around] = [$("chart-traces"), $("chart-around")].map((canvas) => canvas.transferControlToOffscreen());
    this.send({ do: "begin", traces, around, place: place.href }, [traces, around]);
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
    this.showLegend();
  }

  // -- what can be charted ----------------------------------------------------------------------------------

  // Analog inputs at once; signals that are numbers as their devices tell of them, one after another.
  async load(connection) {
    const { devices } = await connection.ask("ListDevices");
    const inputs = devices.filter(({ capabilities }) => capabilities.includes("block producer")).map(({ name }) => ({ kind: "samples", name }));
    this.offer(inputs, []);
    this.choose();
    const signals = [];
    for (const { name } of devices) {
      try {
        const device = await connection.ask("DescribeDevice", { name });
        for (const signal of numbers(device)) signals.push({ kind: "signal", name: signal.name, units: signal.units });
      } catch (error) {
        if (error.kind === "ServerGone") return;
        note(`${name}: ${error.message}`); // its instrument does not answer; the others do
      }
    }
    this.offer(inputs, signals);
    this.choose();
  }

  offer(inputs, signals) {
    const chooser = $("chart-source");
    const wanted = this.chosen || remembered("chart", inputs.length ? keyOf(inputs[0]) : "");
    this.sources = new Map([...inputs, ...signals].map((source) => [keyOf(source), source]));
    const group = (label, sources) => sources.length && make("optgroup", { label }, ...sources.map((each) => make("option", { value: keyOf(each) }, each.name)));
    const groups = [group("samples", inputs), group("signals, read once a second", signals)].filter(Boolean);
    chooser.replaceChildren(make("option", { value: "" }, "nothing"), ...groups);
    if (this.sources.has(wanted)) chooser.value = wanted;
    else if (this.chosen && !signals.length) chooser.append(make("option", { value: this.chosen, selected: true }, this.chosen)); // not told yet
  }

  choose(anew = false) {
    const key = $("chart-source").value;
    if (key === this.chosen && !anew) return;
    this.chosen = key;
    this.hidden.clear();
    this.setView({ hidden: [] });
    this.send({ do: "source", source: this.sources.get(key) ?? null });
    this.on_state({ state: key ? "connecting" : "none", what: "" });
  }

  // -- controls ---------------------------------------------------------------------------------------------

  controls() {
    $("chart-source").onchange = () => {
      remember("chart", $("chart-source").value);
      this.choose();
    };
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

  setHidden(trace, hidden) {
    if (hidden) this.hidden.add(trace);
    else this.hidden.delete(trace);
    this.setView({ hidden: [...this.hidden] });
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

  on_columns({ columns, left, rate, memory }) {
    Object.assign(this, { columns, rate, memory, told: null });
    $("chart-memory").textContent = memory ? `${(memory / MIB).toFixed(0)} MiB` : "–";
    $("chart-rate").textContent = rate ? `${brief(rate)} /s` : "–";
    for (const name of ["newest", "dropped", "missing", "gaps"]) $(`chart-${name}`).textContent = "–";
    $("chart-units").replaceChildren(...[...new Set(columns.map(({ units }) => units))].map((units) => make("option", { value: units }, units || "no units")));
    this.showLegend();
    if (left) note(`the first ${columns.length} channels are charted, ${left} are not`, "bad");
  }

  on_chart(told) {
    this.told = told;
    const { dropped, missing, gaps } = told.counts;
    $("chart-dropped").textContent = dropped;
    $("chart-missing").textContent = missing - dropped;
    $("chart-gaps").textContent = gaps;
    for (const [name, count] of Object.entries({ dropped, missing: missing - dropped, gaps })) $(`chart-${name}`).classList.toggle("bad", count > 0);
    $("chart-hold").setAttribute("aria-pressed", String(!told.live));
    $("chart-hold").textContent = told.live ? "Pause" : "Resume";
    const spans = $("chart-span");
    spans.value = [...spans.options].find(({ value }) => Number(value) === told.span)?.value ?? "";
    this.showRange();
    this.showCursor();
    this.showState();
  }

  on_state({ state, what }) {
    if (what && what !== this.why) note(`chart: ${what}`, "bad");
    Object.assign(this, { state, why: what });
    this.showState();
  }

  on_saved({ number, blob }) {
    this.saves.get(number)(blob);
    this.saves.delete(number);
  }

  // Ms since the newest sample came; Infinity without any.
  get silent() {
    return this.told?.heard ? Date.now() - this.told.heard : Infinity;
  }

  showState() {
    const quiet = this.silent > QUIET;
    const name = this.chosen.split(":")[1];
    const texts = {
      none: "nothing is charted: choose a source",
      connecting: "connecting",
      lost: "no samples: the connection broke",
      error: `no samples: ${this.why}`,
    };
    const none = this.chosen.startsWith("samples:") ? `no samples at the moment: they come while a plan uses ${name}` : "no reading yet";
    const live = quiet ? none : this.told?.pending ? "paused: newer samples are kept" : "";
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

  showLegend() {
    const theme = themeNow();
    this.values = this.columns.map(() => make("output", { class: "now" }));
    const rows = this.columns.map(({ name, units }, trace) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" }, "■");
      swatch.style.color = colourOf(theme, trace);
      const box = make("input", { type: "checkbox", checked: !this.hidden.has(trace), onchange: () => this.setHidden(trace, !box.checked) });
      return make("label", {}, box, swatch, ` ${axisLabel(name, units)} `, this.values[trace]);
    });
    $("chart-legend").replaceChildren(...rows);
  }

  showCursor() {
    const { cursor, origin, end, window, newest } = this.told;
    const values = cursor ? (cursor.found?.values ?? []) : (newest ?? []);
    this.values.forEach((output, trace) => {
      const value = values[trace];
      const text = !value ? "–" : value.low === value.high ? brief(value.low) : `${brief(value.low)} to ${brief(value.high)}`;
      if (output.textContent !== text) output.textContent = text;
    });
    if (!cursor) return;
    const time = cursor.found?.time ?? cursor.time;
    const { gap } = cursor;
    const lost = !gap ? "" : gap.restarted ? "the source began anew here" : gap.missing ? `${gap.missing} samples are missing here, ${gap.dropped} of them not taken in time` : "a gap";
    const broken = gap?.cut ? "the connection was broken here" : "";
    const step = (window.to - window.from) / 1000;
    const words = [`${clockTime(origin + time, Math.min(step, 0.1))} (${seconds(time - end)})`, lost, broken, cursor.found ? "" : "no samples"];
    $("chart-said").textContent = words.filter(Boolean).join(" · ");
  }

  // -- pictures ---------------------------------------------------------------------------------------------

  // The picture with its axes, or the traces alone.
  picture(layer = "all") {
    const number = (this.lastSave = (this.lastSave ?? 0) + 1);
    return new Promise((resolve) => {
      this.saves.set(number, resolve);
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

const keyOf = ({ kind, name }) => `${kind}:${name}`;

// All signals of a device and of its parts that are single numbers.
function* numbers(device) {
  for (const signal of device.signals) if (["number", "integer"].includes(signal.dtype) && !signal.shape.length) yield signal;
  for (const part of device.parts) yield* numbers(part);
}
