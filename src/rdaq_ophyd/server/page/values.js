// Values of signals: as the wire has them, and as a person types and reads them.

import { brief } from "./plot.js";

// From {number: 1} and its kin.
export function fromValue(value) {
  if (!value) return null;
  if ("number" in value) return Number(value.number); // JSON has texts for NaN and Infinity
  if ("integer" in value) return Number(value.integer);
  if ("truth" in value) return value.truth;
  if ("text" in value) return value.text;
  if ("texts" in value) return value.texts.text;
  if ("array" in value) return `array of ${value.array.shape.join(" × ")}`;
  return null;
}

// What was typed, as a value of that kind; throws when it is none.
export function toValue(dtype, typed) {
  if (dtype === "boolean") return { truth: typed === true || typed === "true" };
  if (dtype === "string") return { text: String(typed) };
  const number = String(typed).trim() === "" ? NaN : Number(typed);
  if (!Number.isFinite(number)) throw new Error(`${typed || "nothing"} is no number`);
  if (dtype === "integer" && !Number.isInteger(number)) throw new Error(`${typed} is no whole number`);
  return dtype === "integer" ? { integer: String(number) } : { number };
}

// With units.
export function shown(value, units = "") {
  const text = typeof value === "number" ? brief(value) : Array.isArray(value) ? value.join(", ") : String(value ?? "–");
  return units ? `${text} ${units}` : text;
}

export const SEVERITIES = ["", "minor alarm", "major alarm", "invalid"];
