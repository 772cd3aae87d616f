// What can be charted: the rig's analog inputs, and all signals that are numbers.

import { DESCRIPTION } from "./devices.js";
import { $, make, remember, remembered } from "./dom.js";
import { note } from "./log.js";

const keyOf = ({ kind, name }) => `${kind}:${name}`;

export class ChartSources {
  // `onChosen(source)` is told what is to be charted: {kind, name, units}, or null.
  constructor(onChosen) {
    Object.assign(this, { onChosen, chosen: "", known: new Map(), loading: false, again: false });
    $("chart-source").onchange = () => {
      remember("chart", $("chart-source").value);
      this.choose();
    };
  }

  // One at a time, however often it is asked for, so that devices that hang take one call of the connection; what was asked
  // for meanwhile is done once more behind it, since there may be other devices by then.
  async load(connection) {
    this.again = true;
    if (this.loading) return;
    this.loading = true;
    try {
      while (this.again) {
        this.again = false;
        await this.ask(connection);
      }
    } finally {
      this.loading = false;
    }
  }

  // Analog inputs at once; signals as their devices tell of them, one after another.
  async ask(connection) {
    const { devices } = await connection.ask("ListDevices", {}, DESCRIPTION);
    const inputs = devices.filter(({ capabilities }) => capabilities.includes("block producer")).map(({ name }) => ({ kind: "samples", name }));
    this.offer(inputs, null);
    const signals = [];
    for (const { name } of devices) {
      try {
        const device = await connection.ask("DescribeDevice", { name }, DESCRIPTION);
        for (const signal of numbers(device)) signals.push({ kind: "signal", name: signal.name, units: signal.units });
      } catch (error) {
        if (error.kind === "ServerGone") return; // this begins anew when the connection is back
        note(`${name}: ${error.message}`); // its instrument does not answer; the others do
      }
    }
    this.offer(inputs, signals);
  }

  // `signals` are null while they are not known yet.
  offer(inputs, signals) {
    const wanted = this.chosen || remembered("chart", inputs.length ? keyOf(inputs[0]) : "");
    const all = [...inputs, ...(signals ?? [])];
    this.known = new Map(all.map((source) => [keyOf(source), source]));
    const options = (sources) => sources.map((each) => make("option", { value: keyOf(each) }, each.name));
    const groups = [];
    if (inputs.length) groups.push(make("optgroup", { label: "samples" }, ...options(inputs)));
    if (signals?.length) groups.push(make("optgroup", { label: "signals, read once a second" }, ...options(signals)));
    if (!signals && this.chosen && !this.known.has(this.chosen)) groups.push(make("option", { value: this.chosen }, this.chosen.split(":")[1]));
    $("chart-source").replaceChildren(make("option", { value: "" }, "nothing"), ...groups);
    if (this.known.has(wanted) || wanted === this.chosen) $("chart-source").value = wanted;
    this.choose();
  }

  // What stands in the field, if it is not charted already.
  choose(anew = false) {
    const key = $("chart-source").value;
    if (key === this.chosen && !anew) return;
    this.chosen = key;
    this.onChosen(this.known.get(key) ?? null);
  }
}

// All signals of a device and of its parts that are single numbers.
function* numbers(device) {
  for (const signal of device.signals) if (["number", "integer"].includes(signal.dtype) && !signal.shape.length) yield signal;
  for (const part of device.parts) yield* numbers(part);
}
