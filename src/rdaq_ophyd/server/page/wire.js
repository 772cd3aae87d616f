// Messages in protobuf's own layout, as far as the page needs them (daq.proto: Frame, FrameHeader; samples are in samples.js).

export class Reader {
  constructor(buffer, start = 0, end = buffer.byteLength) {
    this.view = new DataView(buffer);
    Object.assign(this, { place: start, end });
  }

  // Numbers up to 2^53: sequence numbers and counts stay far below.
  varint() {
    let value = 0;
    for (let factor = 1; this.place < this.end; factor *= 128) {
      const byte = this.view.getUint8(this.place++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error("a message is cut short");
  }

  // The fields one after another: number, and value or {start, end} of what has a length.
  *fields() {
    while (this.place < this.end) {
      const tag = this.varint();
      const [field, kind] = [Math.floor(tag / 8), tag % 8];
      if (kind === 0) yield [field, this.varint()];
      else if (kind === 1) {
        this.place += 8;
        yield [field, this.view.getFloat64(this.place - 8, true)];
      } else if (kind === 2) {
        const length = this.varint();
        const start = this.place;
        this.place += length;
        if (this.place > this.end) throw new Error("a message is cut short");
        yield [field, { start, end: this.place }];
      } else throw new Error(`protobuf's wire type ${kind} is not known here`);
    }
  }
}

const HEADER = {
  1: "sequence",
  2: "host_time",
  3: "hardware_time",
  4: "width",
  5: "height",
  6: "dtype",
  7: "scale",
  8: "offered",
  9: "skipped",
  10: "age",
};
const EMPTY = { sequence: 0, host_time: 0, width: 0, height: 0, dtype: "", scale: 1, offered: 0, skipped: 0, age: 0 };
export const ARRAYS = { "|u1": Uint8Array, "<u1": Uint8Array, "<u2": Uint16Array, "<u4": Uint32Array };

// Header and pixels of a frame. The pixels are a view of `buffer` where their place allows that, else a copy.
export function decodeFrame(buffer) {
  let header = EMPTY;
  let pixels = { start: 0, end: 0 };
  for (const [field, value] of new Reader(buffer).fields()) {
    if (field === 1) header = decodeHeader(buffer, value);
    else if (field === 2) pixels = value;
  }
  const Pixels = ARRAYS[header.dtype];
  if (!Pixels) throw new Error(`pixels of ${header.dtype} cannot be shown; 8, 16 and 32 bits without sign can`);
  const count = header.width * header.height;
  if (pixels.end - pixels.start !== count * Pixels.BYTES_PER_ELEMENT) throw new Error("a frame is not as large as it says");
  const aligned = pixels.start % Pixels.BYTES_PER_ELEMENT === 0;
  const array = aligned ? new Pixels(buffer, pixels.start, count) : new Pixels(buffer.slice(pixels.start, pixels.end));
  return { header, pixels: array };
}

function decodeHeader(buffer, { start, end }) {
  const header = { ...EMPTY };
  for (const [field, value] of new Reader(buffer, start, end).fields()) {
    const name = HEADER[field];
    if (!name) continue; // of a later version
    header[name] = typeof value === "number" ? value : new TextDecoder().decode(new Uint8Array(buffer, value.start, value.end - value.start));
  }
  return header;
}

// A document's line, base64 of JSON in which numbers that are not finite are words: they become null, which is a gap in a plot.
export function decodeDocument(base64) {
  const text = new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  if (!text.startsWith(" ")) return JSON.parse(text);
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (word) => (word[0] === '"' ? word : "null")));
}
