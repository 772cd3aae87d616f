// One line of a device's card: what it is now, and what can be done with it. Made from what the rig says of the signal.

import { fill, make, say } from "./dom.js";
import { failed, note } from "./log.js";
import { SEVERITIES, fromValue, shown, toValue } from "./values.js";

const range = (limits, units) => (limits ? `${shown(limits.low)} to ${shown(limits.high, units)}` : units ? `in ${units}` : "");

// The last part of a dotted name, in words.
const label = (name) => name.split(".").at(-1).replaceAll("_", " ");

class Row {
  constructor(panel, about, title = label(about.name)) {
    Object.assign(this, { panel, about, title, name: about.name, units: about.units, severity: 0 });
    this.now = make("output", { class: "now", "aria-live": "off" }, "–"); // read each second, it would talk without end
    this.error = make("span", { class: "row-error", role: "alert" });
    this.age = make("span", { class: "age" });
    this.element = make("div", { class: "row" }, make("span", { class: "title" }, title), this.now, this.age);
  }

  // A button that those may press who may operate.
  button(text, act, about = {}) {
    const onclick = async () => {
      this.error.textContent = "";
      try {
        await act();
      } catch (error) {
        failed(error, this.error);
      }
    };
    return make("button", { type: "button", class: "operates", "aria-label": `${this.name}: ${text}`, onclick, ...about }, text);
  }

  number(about, title) {
    const { low, high } = about.limits ?? {};
    return make("input", { type: "number", step: "any", min: low, max: high, class: "operates", "aria-label": title, title: range(about.limits, about.units) });
  }

  show(reading) {
    if (!reading) return;
    this.mute = false;
    this.severity = reading.severity;
    this.now.className = `now severity-${reading.severity}`;
    this.now.title = SEVERITIES[reading.severity] ?? "";
    this.showValue(fromValue(reading.value));
  }

  // A value of which nothing else is known.
  showValue(value) {
    this.value = value;
    this.now.textContent = shown(value, this.units) + (this.severity ? ` (${this.now.title})` : "");
    this.fresh();
  }

  // Something was heard just now.
  fresh() {
    this.heard = performance.now();
    this.tellAge(0);
  }

  // So many seconds old; 0 is now.
  tellAge(seconds) {
    say(this.age, seconds ? `${seconds} s old` : "");
    this.now.classList.toggle("old", seconds > 0);
    if (!seconds) this.age.title = "";
  }

  unanswered(why) {
    this.age.title = why;
  }

  // Nothing can be read, and why.
  silent(error) {
    Object.assign(this, { key: undefined, severity: 3, mute: true });
    Object.assign(this.now, { textContent: "no reading", title: error.message, className: "now severity-3" });
    this.fresh();
  }

  ask(call, request) {
    return this.panel.connection.ask(call, request);
  }
}

// Something that moves: where it is, where to, and its stop.
export class MoveRow extends Row {
  constructor(panel, device, title = "position") {
    super(panel, device, title);
    this.target = this.number(device, `${device.name}: target`);
    this.step = make("input", { type: "number", step: "any", min: 0, value: 1, class: "operates step", "aria-label": `${device.name}: step` });
    this.progress = make("progress", { max: 1, value: 0, hidden: true, "aria-label": `${device.name} moves` });
    this.go = this.button("Move", () => this.move(this.target, false));
    const by = (sign) => this.button(sign < 0 ? "−" : "+", () => this.move(this.step, true, sign), { "aria-label": `${device.name}: step ${sign < 0 ? "down" : "up"}` });
    const stop = this.button("Stop", () => this.ask("StopDevice", { name: this.name }), { class: "operates halt", title: device.stop });
    this.setpoint = make("span", { class: "setpoint", title: "where it was sent" });
    this.element.append(this.setpoint, this.target, this.go, by(-1), this.step, by(1), stop);
    if (device.capabilities?.includes("homable")) this.element.append(this.button("Home", () => this.home(), { title: "find its zero: it moves" }));
    this.element.append(this.progress, this.error);
    this.element.append(make("span", { class: "range" }, range(device.limits, device.units)));
  }

  async move(field, relative, sign = 1) {
    if (field.value === "" || !Number.isFinite(field.valueAsNumber)) throw new Error(`${this.name}: type where to`);
    const target = sign * field.valueAsNumber;
    if (relative && !(field.valueAsNumber > 0)) throw new Error(`${this.name}: a step is above 0; the buttons say where to`);
    const { limits } = this.about;
    if (!relative && limits && (target < limits.low || target > limits.high)) {
      throw new Error(`${this.name}: ${target} is outside of ${range(limits, this.units)}`);
    }
    this.progress.hidden = false;
    try {
      const call = this.panel.connection.begin("Move", { name: this.name, target, relative }, { onItem: (item) => this.follow(item) });
      const last = await call.done;
      note(`${this.name} is at ${shown(Number(last.current), this.units)}`);
    } finally {
      this.progress.hidden = true;
    }
  }

  async home() {
    await this.ask("Trigger", { name: `${this.name}.home` });
    note(`${this.name} has found its home`);
  }

  showSetpoint(value) {
    this.setpoint.textContent = Number.isFinite(Number(value)) ? `→ ${shown(Number(value), this.units)}` : "";
  }

  follow({ current, initial, target }) {
    const whole = Number(target) - Number(initial);
    this.showSetpoint(target);
    fill(this.progress, whole ? (Number(current) - Number(initial)) / whole : 1);
    this.now.textContent = shown(Number(current), this.units);
    this.fresh();
  }
}

// A signal that can be set: a choice, a switch, a number or a text.
export class SetRow extends Row {
  constructor(panel, signal, title) {
    super(panel, signal, title);
    const { choices, dtype, name } = signal;
    const named = { class: "operates", "aria-label": `${name}: new value` };
    if (choices.length) this.field = make("select", named, ...choices.map((each) => make("option", { value: each }, each)));
    else if (dtype === "boolean") this.field = make("select", named, make("option", {}, "true"), make("option", {}, "false"));
    else if (dtype === "string") this.field = make("input", { type: "text", ...named });
    else this.field = this.number(signal, named["aria-label"]);
    this.element.append(this.field, this.button("Set", () => this.set(this.field.value)), this.error);
    if (signal.limits || signal.units) this.element.append(make("span", { class: "range" }, range(signal.limits, signal.units)));
  }

  async set(typed) {
    const { readback: value, severity } = await this.ask("Set", { name: this.name, value: toValue(this.about.dtype, typed) });
    this.show({ value, severity });
    note(`${this.name} is ${shown(this.value, this.units)}`);
  }

  show(reading) {
    super.show(reading);
    if (this.panel.first(this) && this.field.tagName === "SELECT") this.field.value = String(this.value);
  }
}

// Open and closed, or on and off: two buttons, each always there. Dark is never more than one click away.
export class SwitchRow extends Row {
  constructor(panel, signal, title, { light, dark, words }) {
    super(panel, signal, title);
    this.words = words;
    this.element.append(this.button(light, () => this.set(true)), this.button(dark, () => this.set(false), { class: "operates halt" }), this.error);
  }

  // What a signal calls its states: truth, or one of two choices ("open", "closed").
  worded(light) {
    const { choices, dtype, name } = this.about;
    if (dtype === "boolean") return { truth: light };
    const found = choices.find((choice) => this.words[light ? "light" : "dark"].includes(choice.toLowerCase()));
    if (!found) throw new Error(`${name} has ${choices.join(", ")}: set it below`);
    return { text: found };
  }

  async set(light) {
    const { readback: value, severity } = await this.ask("Set", { name: this.name, value: this.worded(light) });
    this.show({ value, severity });
    note(`${this.name} is ${this.now.textContent}`);
  }

  showValue(value) {
    super.showValue(value);
    const lit = value === true || this.words.light.includes(String(value).toLowerCase());
    if (typeof value === "boolean") this.now.textContent = value ? this.words.light[0] : this.words.dark[0];
    this.now.classList.toggle("lit", lit);
  }
}

export class ReadRow extends Row {}
