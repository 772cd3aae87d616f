// Scan plots from event documents: what the plan hints at, against what it moves. Other columns can be chosen.

import { $, make } from "./dom.js";
import { Plot, axisLabel } from "./plot.js";

const MOST = 100_000; // points kept of a stream; the older half goes when there are more
const EVERY = 100; // ms between two drawings of what comes
const NUMBERS = new Set(["number", "integer"]);

export class Scans {
  constructor() {
    this.plot = new Plot($("scan-plot"), $("scan-said"));
    this.streams = new Map();
    this.wanted = "seq_num"; // what its person chose along x, where a scan moves nothing
    $("scan-x").onchange = () => {
      this.wanted = $("scan-x").value;
      this.draw();
    };
    $("scan-stream").onchange = () => this.offer();
  }

  take(name, document) {
    if (name === "start") this.begin(document);
    else if (name === "descriptor") this.describe(document);
    else if (name === "event") this.add(document.descriptor, document.seq_num, document.time, document.data);
    else if (name === "event_page") this.addPage(document);
  }

  // Documents are missing here, not in the catalog.
  gap() {
    for (const stream of this.streams.values()) for (const column of Object.values(stream.columns)) column.push(null);
    this.draw();
  }

  begin(start) {
    this.streams = new Map();
    this.byUid = new Map();
    this.start = start;
    this.stream = null;
    this.moved = (start.hints?.dimensions ?? []).filter(([, stream]) => stream === "primary" || stream == null).flatMap(([fields]) => fields);
    $("scan-title").textContent = `scan ${start.scan_id} ${start.plan_name ?? ""}`;
    for (const id of ["scan-stream", "scan-x", "scan-y"]) $(id).replaceChildren();
    this.plot.show({ traces: [], x: { label: "" }, y: { label: "" } }); // nothing of the scan before stands under its name
  }

  describe(descriptor) {
    const numbers = Object.entries(descriptor.data_keys).filter(([, key]) => NUMBERS.has(key.dtype) && !key.shape?.length && !key.external);
    if (!numbers.length || !this.byUid) return;
    const columns = Object.fromEntries(["seq_num", "time", ...numbers.map(([key]) => key)].map((key) => [key, []]));
    const units = Object.fromEntries(numbers.map(([key, about]) => [key, about.units ?? ""]));
    Object.assign(units, { seq_num: "", time: "s" });
    const hinted = Object.values(descriptor.hints ?? {}).flatMap((hint) => hint.fields ?? []);
    const before = this.streams.get(descriptor.name);
    // Configured anew in the middle of a run, it goes on.
    if (before && String(Object.keys(before.columns)) === String(Object.keys(columns))) return this.byUid.set(descriptor.uid, before);
    // What is read before and after a run is no scan: it is plotted when somebody wants it.
    const stream = { columns, units, hinted: descriptor.name === "baseline" ? [] : hinted.filter((key) => key in columns) };
    this.streams.set(descriptor.name, stream);
    this.byUid.set(descriptor.uid, stream);
    if (!before) $("scan-stream").append(make("option", {}, descriptor.name));
    if (descriptor.name === "primary") $("scan-stream").value = "primary";
    if (this.streams.get($("scan-stream").value) !== this.stream) this.offer();
  }

  add(uid, number, time, data) {
    const stream = this.byUid?.get(uid);
    if (!stream) return; // of a run that began before the page was opened
    const { columns } = stream;
    columns.seq_num.push(number);
    columns.time.push(time - this.start.time);
    for (const key of Object.keys(columns)) if (key !== "seq_num" && key !== "time") columns[key].push(data[key] ?? null);
    if (columns.seq_num.length > MOST) for (const column of Object.values(columns)) column.splice(0, MOST / 2);
    this.due ??= setTimeout(() => this.draw(), EVERY);
  }

  addPage(page) {
    const row = (index) => Object.fromEntries(Object.entries(page.data).map(([key, values]) => [key, values[index]]));
    page.seq_num.forEach((number, index) => this.add(page.descriptor, number, page.time[index], row(index)));
  }

  // What can be chosen in the stream that is shown.
  offer() {
    const stream = (this.stream = this.streams.get($("scan-stream").value));
    if (!stream) return;
    const keys = Object.keys(stream.columns);
    const axis = this.moved.find((key) => keys.includes(key)) ?? (keys.includes(this.wanted) ? this.wanted : "seq_num");
    $("scan-x").replaceChildren(...keys.map((key) => make("option", {}, key)));
    $("scan-x").value = axis;
    const shown = stream.hinted.filter((key) => !this.moved.includes(key));
    const boxes = keys.slice(2).map((key) => {
      const box = make("input", { type: "checkbox", value: key, onchange: () => this.draw() });
      box.checked = shown.includes(key);
      return make("label", {}, box, key);
    });
    $("scan-y").replaceChildren(...boxes);
    this.draw();
  }

  draw() {
    clearTimeout(this.due);
    this.due = null;
    const { stream } = this;
    if (!stream) return;
    const axis = $("scan-x").value;
    const keys = [...$("scan-y").querySelectorAll("input:checked")].map((box) => box.value);
    const units = new Set(keys.map((key) => stream.units[key]));
    const label = units.size === 1 ? axisLabel(keys.length === 1 ? keys[0] : "values", [...units][0]) : keys.map((key) => axisLabel(key, stream.units[key])).join(", ");
    const traces = keys.map((key) => ({ name: axisLabel(key, stream.units[key]), x: stream.columns[axis], y: stream.columns[key] }));
    this.plot.show({ traces, x: { label: axisLabel(axis, stream.units[axis]) }, y: { label } });
  }
}
