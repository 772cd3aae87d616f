// Where a chart's samples come from: a card's stream, by credits, or a signal that is read once a second.

import { columnsOf, decodeBlock } from "./samples.js";
import { fromValue } from "./values.js";

const CREDITS = 8; // blocks that may be under way; a hidden page grants none
const FLUSH = 0.02; // s from block to block: a screen shows no more
const AGAIN_AFTER = 1000; // ms until a source that ended is asked again
const EVERY = 1000; // ms between two readings of a signal
const ANSWER = 10_000; // ms for one

// Calls `onSchema(schema, loose)` when it is known what comes, `onBlock(header, columns, bytes)` for each block, `onState(state, what)`.
class Source {
  constructor(connection, name, most, heard) {
    Object.assign(this, { connection, name, most, visible: true, over: false }, heard);
    this.begin = this.begin.bind(this);
    connection.addEventListener("open", this.begin);
  }

  setVisible(visible) {
    this.visible = visible;
  }

  // Resolves when nothing will come any more.
  async close() {
    this.over = true;
    this.connection.removeEventListener("open", this.begin);
  }
}

export class SampleSource extends Source {
  constructor(...about) {
    super(...about);
    if (this.connection.isOpen) this.begin();
  }

  begin() {
    clearTimeout(this.again);
    if (this.over) return;
    this.owed = this.visible ? 0 : CREDITS;
    this.dropped = 0;
    this.schema = null;
    const request = { name: this.name, flush: FLUSH };
    this.stream = this.connection.begin("StreamSamples", request, { onBinary: (buffer) => this.take(buffer), credits: CREDITS - this.owed });
    this.ended = this.stream.done.then(
      () => this.end(null),
      (error) => this.end(error),
    );
  }

  end(error) {
    this.stream = null;
    if (this.over || !this.connection.isOpen) return; // it begins anew when the connection is back
    this.onState("error", error ? error.message : "the source was closed");
    this.again = setTimeout(this.begin, AGAIN_AFTER);
  }

  // Each block's credit comes back when it has been used, some of them together.
  take(buffer) {
    this.owed++;
    try {
      if (!this.over) this.use(buffer);
    } catch (error) {
      this.onState("error", error.message);
    }
    if (this.owed >= CREDITS / 2) this.grant();
  }

  use(buffer) {
    const block = decodeBlock(buffer);
    if (block.schema) {
      this.schema = block.schema;
      this.onSchema(this.schema, false);
    }
    if (this.schema?.schema_id !== block.header.schema_id) throw new Error("samples came before it was said what they are");
    if (!block.bytes) return;
    const { first_seq: first, shot, time, dropped: all } = block.header;
    const dropped = all - this.dropped;
    this.dropped = all;
    this.onBlock({ first, shot, time, dropped }, columnsOf(buffer, block, this.schema, this.most), block.bytes);
  }

  grant() {
    if (!this.visible || !this.owed) return;
    this.stream?.grant(this.owed);
    this.owed = 0;
  }

  setVisible(visible) {
    super.setVisible(visible);
    if (visible) this.grant();
  }

  async close() {
    await super.close();
    clearTimeout(this.again);
    this.stream?.end();
    await this.ended;
  }
}

export class SignalSource extends Source {
  constructor(...about) {
    super(...about);
    this.number = 0;
    this.read = this.read.bind(this);
    this.timer = setInterval(this.read, EVERY);
    this.read();
  }

  begin() {
    this.read();
  }

  // One question at a time, of an instrument that may take long; none before the rig's clock is known.
  async read() {
    const { isOpen, roundTrip } = this.connection;
    if (this.over || this.asking || !this.visible || !isOpen || roundTrip === undefined) return;
    this.asking = true;
    try {
      const { readings } = await this.connection.ask("Read", { names: [this.name] }, ANSWER);
      const value = fromValue(Object.values(readings)[0]?.value);
      if (typeof value !== "number") throw new Error(`${this.name} is no number`);
      if (!this.over) this.take(value, Date.now() / 1000 + this.connection.offset);
    } catch (error) {
      if (!this.over && error.kind !== "ServerGone") this.onState("error", error.message);
    } finally {
      this.asking = false;
    }
  }

  take(value, time) {
    if (!this.number) this.onSchema({ rate: 1000 / EVERY, columns: [{ name: this.name, dtype: "<f8", units: this.units }] }, true);
    const number = this.number++;
    this.onBlock({ first: number, shot: number, time, dropped: 0 }, [Float64Array.of(value)], 0);
  }

  async close() {
    await super.close();
    clearInterval(this.timer);
  }
}
