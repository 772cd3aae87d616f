// The rig's devices, a card each, made from their capabilities.

import { $, make } from "./dom.js";
import { failed, note } from "./log.js";
import { Places } from "./places.js";
import { MoveRow, ReadRow, SetRow, SwitchRow } from "./rows.js";
import { SEVERITIES, fromValue } from "./values.js";

const EVERY = 1000; // ms between two readings of a card; those of closed ones, and of a hidden page, are left out
const ANSWER = 10_000; // ms for a reading; a device that takes longer keeps none of the others waiting
export const DESCRIPTION = 30_000; // the same for what it can do, which asks more of it
const OLD = 5000; // ms after which a value that is shown says how old it is
const AT_A_TIME = 12; // questions for cards: the rig takes 32 of a connection, and moves and streams need room beside them
const UNKNOWN = "?";
const SHUTTER = { light: "Open", dark: "Close", words: { light: ["open"], dark: ["closed", "close"] } };
const UNANSWERED = new Set(["ServerGone", "NoAnswer"]);
const EMISSION = { light: "Emit", dark: "Off", words: { light: ["on"], dark: ["off"] } };
const ARMING = { light: "Arm", dark: "Disarm", words: { light: ["armed"], dark: ["not armed"] } };

export class Devices {
  // `onChanged()` where there may be others than before.
  constructor(connection, onChanged = () => {}) {
    Object.assign(this, { connection, onChanged });
    this.seen = new WeakSet();
    this.places = new Places(AT_A_TIME);
    this.cards = [];
    this.loads = 0;
    setInterval(() => this.tellAges(), EVERY);
  }

  // Whether a row is shown its first value.
  first(row) {
    if (this.seen.has(row)) return false;
    this.seen.add(row);
    return true;
  }

  // Ask what there is; returns the names of the cameras. Of several loads at a time the last one counts. What is as it was
  // keeps its card, with all that was typed there.
  async load() {
    const mine = ++this.loads;
    const { devices, failures } = await this.connection.ask("ListDevices");
    const cameras = devices.filter(({ capabilities: can }) => can.includes("frame producer") && !can.includes("block producer")).map(({ name }) => name);
    this.known = new Map(devices.map((device) => [device.name, device]));
    const cards = await Promise.all(devices.map((device) => this.places.use(() => this.card(device))));
    if (mine !== this.loads) return cameras;
    const before = this.cards;
    for (const card of before) {
      if (cards.includes(card)) continue;
      card.over = true;
      const same = cards.find(({ device }) => device.name === card.device.name);
      if (same) same.element.open = card.element.open; // as its person left it
    }
    const missing = Object.entries(failures).map(([name, why]) => make("p", { class: "bad" }, `${name}: ${why} `, this.tryButton(name)));
    place($("devices"), [...missing, ...cards.map((card) => card.element)]);
    this.cards = cards;
    this.setRole(this.role);
    this.locate();
    for (const card of cards) if (!before.includes(card)) this.keepReading(card);
    return cameras;
  }

  // For a device; what only follows another one comes back with that.
  tryButton(name) {
    if (name.includes(".")) return null;
    return make("button", { type: "button", class: "operates", "aria-label": `${name}: Try again`, onclick: () => this.tryAgain(name) }, "Try again");
  }

  async tryAgain(name) {
    try {
      await this.connection.ask("Reconnect", { name });
      note(`${name} is connected`);
    } catch (error) {
      failed(error);
    }
    this.onChanged();
  }

  async card(device) {
    let whole, failure;
    try {
      whole = await this.connection.ask("DescribeDevice", { name: device.name }, DESCRIPTION);
    } catch (error) {
      failure = error.message; // its instrument does not answer; the others do
    }
    const told = JSON.stringify([device, whole, failure]);
    return this.cards.find((card) => card.told === told) ?? this.newCard(device, whole, failure, told);
  }

  newCard(device, whole, failure, told) {
    const state = make("span", { class: "link" });
    const alarm = make("span", { class: "alarm" });
    const summary = make("summary", {}, make("strong", {}, device.name), ` ${device.kind} `, state, " ", alarm);
    const element = make("details", { class: "card", "aria-label": device.name }, summary);
    element.open = device.capabilities.some((each) => ["movable", "shutter control", "emission control"].includes(each));
    const card = { device, element, state, alarm, told, rows: [] };
    if (failure) element.append(make("p", { class: "bad" }, failure));
    else this.fill(card, whole);
    return card;
  }

  fill(card, device) {
    const signals = new Map(device.signals.map((each) => [each.name, each]));
    const parts = new Map(device.parts.map((each) => [each.name, each]));
    const used = new Set();
    const add = (row) => {
      used.add(row.name);
      card.rows.push(row);
      card.element.append(row.element);
    };
    const can = (capability) => device.capabilities.includes(capability);
    const control = (name) => {
      const full = `${device.name}.${name}`;
      if (parts.has(full)) return add(new MoveRow(this, parts.get(full), name));
      const signal = signals.get(full);
      if (signal) add(signal.writable ? new SetRow(this, signal) : new ReadRow(this, signal));
    };
    const pair = (name, words) => signals.has(`${device.name}.${name}`) && add(new SwitchRow(this, signals.get(`${device.name}.${name}`), name, words));
    if (can("movable")) add(new MoveRow(this, device));
    if (can("shutter control")) pair("shutter", SHUTTER);
    if (can("emission control")) {
      pair("armed", ARMING); // light takes two deliberate steps
      pair("emission", EMISSION);
    }
    if (can("wavelength tunable")) control("wavelength");
    if (can("exposure control")) control("exposure");
    card.connection = parts.get(`${device.name}.connection`)?.signals.find(({ name }) => name.endsWith(".connection.state"));
    const rest = [...all(device)].filter(({ name }) => !used.has(name));
    if (rest.length) card.element.append(this.others(card, rest));
    card.element.append(make("p", { class: "hint" }, `stop: ${device.stop}`));
  }

  // All other signals, closed at first: they are read only while somebody looks.
  others(card, signals) {
    const box = make("details", { class: "others" }, make("summary", {}, `${signals.length} more`));
    const shorten = (name) => name.slice(card.device.name.length + 1).replaceAll("_", " ");
    box.addEventListener(
      "toggle",
      () => {
        card.others = { box, rows: signals.map((each) => (each.writable ? new SetRow(this, each, shorten(each.name)) : new ReadRow(this, each, shorten(each.name)))) };
        box.append(...card.others.rows.map((row) => row.element));
        this.setRole(this.role);
      },
      { once: true },
    );
    return box;
  }

  // -- readings ---------------------------------------------------------------------------------------------

  // Each card at its own pace: an instrument that does not answer delays no other one.
  async keepReading(card) {
    while (!card.over) {
      if (!document.hidden && this.connection.isOpen) await this.places.use(() => this.read(card));
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  // All open rows in one question; where that fails, each by itself, to learn which.
  async read(card) {
    const rows = shownRows(card);
    try {
      if (!(await this.readTogether(rows))) for (const row of rows) await this.readAlone(row);
    } catch (error) {
      if (!UNANSWERED.has(error.kind)) throw error;
      for (const row of rows) row.unanswered(error.message); // what it shows grows old, and says so
      return;
    }
    if (rows.length) this.tellAlarm(card, rows);
    await this.readLink(card);
  }

  // Whether it worked; what a row's reading is called is known from its first one.
  async readTogether(rows) {
    if (!rows.length) return true;
    if (!rows.every((row) => row.key)) return false;
    try {
      const { readings } = await this.connection.ask("Read", { names: rows.map((row) => row.name) }, ANSWER);
      for (const row of rows) row.show(readings[row.key]);
      return true;
    } catch (error) {
      if (UNANSWERED.has(error.kind)) throw error;
      return false;
    }
  }

  async readAlone(row) {
    try {
      const { readings } = await this.connection.ask("Read", { names: [row.name] }, ANSWER);
      const wanted = row.name.replaceAll(".", "-");
      const again = row.mute;
      row.key = wanted in readings ? wanted : Object.keys(readings)[0];
      row.show(readings[row.key]);
      if (again) this.locate([row]);
    } catch (error) {
      if (UNANSWERED.has(error.kind)) throw error;
      row.silent(error);
    }
  }

  // The worst of what a card shows, in its head.
  tellAlarm(card, rows) {
    const worst = rows.reduce((one, other) => ((other.severity ?? 0) > (one.severity ?? 0) ? other : one));
    const severity = worst.severity ?? 0;
    card.alarm.textContent = severity ? `${SEVERITIES[severity] ?? UNKNOWN}: ${worst.title}` : "";
    card.alarm.className = `alarm severity-${severity}`;
    card.alarm.title = severity ? worst.now.title : "";
  }

  // What a run has just read: it need not be asked for again to be seen.
  take(data) {
    for (const card of this.cards) {
      for (const row of [...card.rows, ...(card.others?.rows ?? [])]) if (row.key in data) row.showValue(data[row.key]);
    }
  }

  // Where axes were sent: asked once everything stands, not each second.
  settled({ engine, moving }) {
    const busy = engine !== "idle" || moving.length > 0;
    if (this.busy && !busy) this.locate();
    this.busy = busy;
  }

  // Each by itself: an instrument that does not answer hides nothing of the others.
  async locate(rows = this.cards.flatMap((card) => card.rows)) {
    const axes = rows.filter((row) => row.about.capabilities?.includes("locatable"));
    await Promise.all(axes.map((row) => this.places.use(() => this.locateOne(row))));
  }

  async locateOne(row) {
    try {
      const { locations } = await this.connection.ask("Locate", { names: [row.name] }, ANSWER);
      row.showSetpoint(locations[0].setpoint);
    } catch (error) {
      row.showSetpoint(NaN); // not known any more
      if (!UNANSWERED.has(error.kind)) failed(error);
    }
  }

  // Units and limits of a device, by its name.
  about(name) {
    return this.known?.get(name);
  }

  // What the link itself says; this asks no instrument.
  async readLink(card) {
    if (!card.connection) return;
    try {
      const { readings } = await this.connection.ask("Read", { names: [card.connection.name] }, ANSWER);
      const [{ value, severity }] = Object.values(readings);
      card.state.textContent = fromValue(value);
      card.state.className = `link severity-${severity}`;
      card.heard = performance.now();
    } catch (error) {
      if (!UNANSWERED.has(error.kind)) failed(error);
    }
  }

  // What is shown of a rig that does not answer, or of an instrument, is not taken for what it is now.
  tellAges() {
    const now = performance.now();
    const since = (at) => (!this.connection.isOpen || now - at > OLD ? Math.max(1, Math.round((now - at) / 1000)) : 0);
    for (const card of this.cards) {
      for (const row of shownRows(card)) row.tellAge(row.heard === undefined ? 0 : since(row.heard));
      if (card.heard !== undefined) card.state.classList.toggle("old", since(card.heard) > 0 && !document.hidden);
    }
  }

  // The connection has broken: at once.
  lost() {
    this.tellAges();
  }

  // Those who may only look see what can be done, but cannot do it.
  setRole(role) {
    this.role = role;
    for (const each of document.querySelectorAll(".operates")) each.disabled = role === "observe";
  }
}

// Those that somebody may look at.
function shownRows({ element, rows, others }) {
  return element.open ? [...rows, ...(others?.box.open ? others.rows : [])] : [];
}

// Make these the children of a box. What is there already stays where it is: moved, it would lose the focus.
function place(box, wanted) {
  for (const child of [...box.children]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((child, index) => {
    if (box.children[index] !== child) box.insertBefore(child, box.children[index] ?? null);
  });
}

// All signals of a device and of its parts.
function* all(device) {
  yield* device.signals;
  for (const part of device.parts) yield* all(part);
}
