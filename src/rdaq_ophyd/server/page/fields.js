// Fields of a form, each made from what the rig says of a parameter: a JSON Schema, or the devices that fit.

import { make } from "./dom.js";
import { shown } from "./values.js";

// `id` is its own on the page. A field knows its `name`, its `element`, its `value()` as the wire has it (null: the
// plan's default), and says what is wrong with it. One that is `impossible` says why the plan cannot be started here.
export function field(parameter, id, deviceOf) {
  if (parameter.device) return parameter.many ? new DevicesField(parameter, id) : new DeviceField(parameter, id);
  const schema = plainSchema(parameter.schema);
  if (schema.enum) return new ChoiceField(parameter, id, schema);
  const kinds = { boolean: TruthField, number: NumberField, integer: NumberField, array: ListField, string: TextField };
  return new (kinds[schema.type] ?? PythonField)(parameter, id, schema, deviceOf);
}

// Of what may also be left out ("X or nothing") only X.
function plainSchema(text) {
  const schema = JSON.parse(text || "{}");
  const kinds = (schema.anyOf ?? []).filter(({ type }) => type !== "null");
  return kinds.length === 1 ? { ...schema, ...kinds[0] } : schema;
}

class Field {
  constructor(parameter, id) {
    Object.assign(this, { parameter, id, name: parameter.name });
    this.error = make("span", { id: `${id}-error`, class: "field-error", role: "alert" });
    this.range = make("span", { id: `${id}-range`, class: "range" });
  }

  // The ids of what belongs to it, for screen readers.
  get about() {
    return `${this.id}-range ${this.id}-help ${this.id}-error`;
  }

  get label() {
    return this.name.replaceAll("_", " ") + (this.parameter.required ? " *" : "");
  }

  // An input or select with what all of them have.
  named(element) {
    element.id = this.id;
    element.classList.add("operates");
    element.setAttribute("aria-describedby", this.about);
    if (this.parameter.required) element.setAttribute("aria-required", "true");
    return (this.input = element);
  }

  box(...content) {
    const help = make("span", { id: `${this.id}-help`, class: "hint" }, this.parameter.help);
    return (this.element = make("div", { class: "field" }, ...content, this.range, this.error, help));
  }

  row(input) {
    return this.box(make("label", { for: this.id }, this.label), this.named(input));
  }

  say(what) {
    this.error.textContent = what;
    this.input?.setAttribute("aria-invalid", String(Boolean(what)));
  }

  focus() {
    this.input?.focus();
  }

  // What was typed; null where nothing was, and the plan has a default.
  typed() {
    const text = this.input.value.trim();
    if (text) return text;
    if (this.parameter.required) throw new Error(`${this.name} is needed`);
    return null;
  }
}

// Devices, and behind them by the device that they belong to whatever else fits.
function options(names) {
  const plain = names.filter((name) => !name.includes("."));
  const groups = Map.groupBy(names.filter((name) => name.includes(".")), (name) => name.split(".")[0]);
  const option = (name) => make("option", { value: name }, name);
  return [...plain.map(option), ...[...groups].map(([label, inside]) => make("optgroup", { label }, ...inside.map(option)))];
}

class DeviceField extends Field {
  constructor(parameter, id) {
    super(parameter, id);
    const { devices, default_text: usual } = parameter;
    const optional = usual === "";
    const none = make("option", { value: "" }, optional ? "none" : "choose …");
    this.row(make("select", {}, none, ...options(devices)));
    if (devices.includes(usual)) this.input.value = usual;
    if (!optional && !devices.length) this.impossible = `no device of this rig fits ${this.name}`;
    if (!optional) this.needed = true;
  }

  value() {
    if (this.input.value) return { text: this.input.value };
    if (this.needed) throw new Error(`choose a device for ${this.name}`);
    return null;
  }
}

class DevicesField extends Field {
  constructor(parameter, id) {
    super(parameter, id);
    this.boxes = parameter.devices.map((name) => make("input", { type: "checkbox", value: name, class: "operates" }));
    const labels = this.boxes.map((box) => make("label", {}, box, box.value));
    this.box(make("fieldset", { class: "devices", "aria-describedby": this.about }, make("legend", {}, `${this.name} *`), ...labels));
    for (const box of this.boxes) box.checked = box.value === parameter.default_text;
    this.input = this.boxes[0];
    if (!this.boxes.length) this.impossible = `no device of this rig fits ${this.name}`;
  }

  value() {
    const text = this.boxes.filter((box) => box.checked).map((box) => box.value);
    if (!text.length) throw new Error(`choose one or more for ${this.name}`);
    return { texts: { text } };
  }
}

class ChoiceField extends Field {
  constructor(parameter, id, schema) {
    super(parameter, id);
    this.schema = schema;
    this.row(make("select", {}, ...schema.enum.map((each) => make("option", { value: String(each) }, String(each)))));
    if (schema.default !== undefined) this.input.value = String(schema.default);
  }

  value() {
    return { text: this.input.value };
  }
}

class TruthField extends Field {
  constructor(parameter, id, schema) {
    super(parameter, id);
    this.row(make("input", { type: "checkbox" }));
    this.input.checked = Boolean(schema.default);
  }

  value() {
    return { truth: this.input.checked };
  }
}

class NumberField extends Field {
  constructor(parameter, id, schema, deviceOf) {
    super(parameter, id);
    Object.assign(this, { schema, deviceOf, units: schema.units ?? "" });
    this.least = schema.minimum ?? schema.exclusiveMinimum;
    this.most = schema.maximum ?? schema.exclusiveMaximum;
    this.row(make("input", { type: "number", step: schema.type === "integer" ? 1 : "any" }));
    if (typeof schema.default === "number") this.input.value = schema.default;
    this.tell();
  }

  // A position has the units and the limits of the device that is chosen for it, a distance its units alone.
  follow(fields) {
    const { position_of: axis, units_of } = this.schema;
    const device = fields.find((each) => each.name === (axis ?? units_of));
    if (!device) return;
    const take = () => {
      const { units = "", limits } = this.deviceOf(device.input.value) ?? {};
      this.units = units;
      if (axis) Object.assign(this, { least: limits?.low, most: limits?.high });
      this.tell();
    };
    device.input.addEventListener("change", take);
    take();
  }

  tell() {
    const { least, most, units, input } = this;
    const above = this.schema.exclusiveMinimum === undefined ? "" : "above ";
    const below = this.schema.exclusiveMaximum === undefined ? "" : "below ";
    for (const [name, bound] of Object.entries({ min: least, max: most })) bound === undefined ? input.removeAttribute(name) : input.setAttribute(name, bound);
    const words = [least === undefined ? "" : `${above}${shown(least)}`, most === undefined ? "" : `to ${below}${shown(most)}`, units];
    this.range.textContent = words.filter(Boolean).join(" ");
  }

  value() {
    // What is no number at all has no text in such an input.
    if (this.input.validity.badInput) throw new Error(`${this.name} takes a number`);
    const text = this.typed();
    if (text === null) return null;
    const number = Number(text);
    if (!Number.isFinite(number)) throw new Error(`${text} is no number`);
    if (this.schema.type === "integer" && !Number.isSafeInteger(number)) throw new Error(`${text} is no whole number`);
    const { least, most, schema } = this;
    const low = number < least || number <= schema.exclusiveMinimum;
    if (low || number > most || number >= schema.exclusiveMaximum) throw new Error(`${text} is outside of ${this.range.textContent}`);
    return schema.type === "integer" ? { integer: String(number) } : { number };
  }
}

class TextField extends Field {
  constructor(parameter, id, schema) {
    super(parameter, id);
    this.row(make("input", { type: "text", autocomplete: "off", maxlength: schema.maxLength }));
    this.input.value = schema.default ?? "";
  }

  value() {
    const text = this.typed();
    return text === null ? null : { text };
  }
}

// Several values with commas between; the rig reads numbers from their texts.
class ListField extends Field {
  constructor(parameter, id, schema) {
    super(parameter, id);
    this.schema = schema;
    this.row(make("input", { type: "text", autocomplete: "off", placeholder: "one, another" }));
    this.input.value = (schema.default ?? []).join(", ");
  }

  value() {
    const text = (this.typed() ?? "").split(",").map((each) => each.trim()).filter(Boolean);
    if (this.schema.items?.type === "number" && text.some((each) => !Number.isFinite(Number(each)))) throw new Error(`${this.name} takes numbers`);
    return { texts: { text } };
  }
}

// What only Python can give: such a parameter keeps its default, and a plan that needs it is not started here.
class PythonField extends Field {
  constructor(parameter, id) {
    super(parameter, id);
    this.box(make("span", {}, this.label), make("output", {}, parameter.default_text || "–"));
    if (parameter.required) this.impossible = `${this.name} can be given from Python only`;
  }

  value() {
    return null;
  }
}
