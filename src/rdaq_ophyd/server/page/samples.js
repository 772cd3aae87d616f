// Blocks of samples as the rig sends them (daq.proto: SampleBlock): a header, and rows that are taken apart here.

import { Reader } from "./wire.js";

const HEADER = { 2: "schema_id", 3: "first_seq", 4: "dropped", 5: "time", 6: "shot" };
const SCHEMA = { 1: "schema_id", 3: "rate" };
const COLUMN = { 1: "name", 2: "dtype", 3: "units" };
const READ = {
  "<f4": (view, place) => view.getFloat32(place, true),
  "<f8": (view, place) => view.getFloat64(place, true),
  "|i1": (view, place) => view.getInt8(place),
  "<i1": (view, place) => view.getInt8(place),
  "<i2": (view, place) => view.getInt16(place, true),
  "<i4": (view, place) => view.getInt32(place, true),
  "<i8": (view, place) => Number(view.getBigInt64(place, true)),
  "|u1": (view, place) => view.getUint8(place),
  "<u1": (view, place) => view.getUint8(place),
  "<u2": (view, place) => view.getUint16(place, true),
  "<u4": (view, place) => view.getUint32(place, true),
  "<u8": (view, place) => Number(view.getBigUint64(place, true)),
};

const text = (buffer, { start, end }) => new TextDecoder().decode(new Uint8Array(buffer, start, end - start));

// Fields by their names; those of a later version are left out.
function named(buffer, place, names, into) {
  for (const [field, value] of new Reader(buffer, place.start, place.end).fields()) {
    if (names[field]) into[names[field]] = typeof value === "number" ? value : text(buffer, value);
  }
  return into;
}

function decodeSchema(buffer, place) {
  const schema = named(buffer, place, SCHEMA, { schema_id: 0, rate: 0 });
  schema.columns = [];
  for (const [field, value] of new Reader(buffer, place.start, place.end).fields()) {
    if (field === 4) schema.columns.push(named(buffer, value, COLUMN, { name: "", dtype: "", units: "" }));
  }
  let offset = 0;
  for (const column of schema.columns) {
    column.read = READ[column.dtype];
    if (!column.read) throw new Error(`${column.name}: samples of ${column.dtype} cannot be shown; numbers of 8 to 64 bits can`);
    column.offset = offset;
    offset += Number(column.dtype.slice(2));
  }
  if (!(schema.rate > 0) || !offset) throw new Error("it is not said what the samples are");
  return Object.assign(schema, { row: offset });
}

// Header, schema (in the first message of each) and where the rows are: `bytes` from `start` on.
export function decodeBlock(buffer) {
  const header = { schema_id: 0, first_seq: 0, dropped: 0, time: 0, shot: 0 };
  const block = { header, schema: null, start: 0, bytes: 0 };
  for (const [field, value] of new Reader(buffer).fields()) {
    if (field === 1) Object.assign(block, { start: value.start, bytes: value.end - value.start });
    else if (field === 7) block.schema = decodeSchema(buffer, value);
    else if (HEADER[field]) header[HEADER[field]] = value;
  }
  return block;
}

// The values of each of the first `most` columns.
export function columnsOf(buffer, { start, bytes }, schema, most) {
  const count = bytes / schema.row;
  if (!Number.isInteger(count)) throw new Error("a block of samples is cut within a row");
  const view = new DataView(buffer, start, bytes);
  return schema.columns.slice(0, most).map(({ read, offset }) => {
    const values = new Float64Array(count);
    for (let row = 0, place = offset; row < count; row++, place += schema.row) values[row] = read(view, place);
    return values;
  });
}
