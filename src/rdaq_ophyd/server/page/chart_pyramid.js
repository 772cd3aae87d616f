// The history of some traces: the newest samples, and the lowest and highest of each 16, 256, 4096 and 65536 of them, in
// rings of fixed size. No value is lost between the levels: what a bin says is the extremes of all that is in it.
//
// Samples lie in segments, within which they follow one another at equal times. A level's bins belong to one segment
// each: bin j of a segment covers its samples from j · 16^level on.

export const FACTOR = 16;
export const LEVELS = 5;
export const EMPTY = 3e38; // stands for no value: a GPU need not know NaN
const LARGEST = 2.9e38;
// Entries of each level: of one trace at most, and of all together. 5 MiB a trace, and never more than 41 MiB.
const OF_ONE = [1 << 19, 1 << 17, 1 << 17, 1 << 17, 1 << 14];
const OF_ALL = [1 << 22, 1 << 20, 1 << 20, 1 << 20, 1 << 17];
export const MOST_TRACES = 32;
const MOST_SEGMENTS = 256;
const AT_ONCE = 1 << 16;

const power = (number) => 2 ** Math.floor(Math.log2(number));

// Room of each level, for one of so many traces.
export const rooms = (traces) => OF_ONE.map((one, level) => Math.min(one, power(OF_ALL[level] / traces)));

export class Pyramid {
  // wide: for each trace whether its numbers are larger than 32 bits hold; such are kept as what they differ from the first.
  // `room` is for tests of what happens when it is used up.
  constructor(wide, room = rooms(wide.length)) {
    this.traces = wide.length;
    this.bases = wide.map((each) => (each ? null : 0));
    this.levels = room.map((entries, level) => {
      const parts = level ? 2 : 1; // a sample, or the lowest and the highest
      return { room: entries, parts, end: 0, clean: 0, values: new Float32Array(wide.length * entries * parts).fill(EMPTY) };
    });
    this.segments = [];
  }

  get bytes() {
    return this.levels.reduce((sum, { values }) => sum + values.byteLength, 0);
  }

  // A new segment: what comes next does not follow what came last.
  begin(about = {}) {
    const segment = { ...about, starts: this.levels.map(({ end }) => end), count: 0 };
    this.segments.push(segment);
    const top = LEVELS - 1;
    const gone = ({ starts, count }) => starts[top] + Math.ceil(count / FACTOR ** top) <= this.levels[top].end - this.levels[top].room;
    while (this.segments.length > MOST_SEGMENTS || gone(this.segments[0])) {
      if (this.segments[0] === segment) break;
      this.segments.shift();
    }
    return segment;
  }

  // Samples of all traces, as many of each.
  append(columns) {
    columns.forEach((column, trace) => (this.bases[trace] ??= column.find(Number.isFinite) ?? null));
    this.inParts(columns[0].length, (trace, row) => {
      const value = columns[trace][row] - this.base(trace);
      return Number.isFinite(value) ? Math.max(-LARGEST, Math.min(LARGEST, value)) : EMPTY;
    });
  }

  // So many samples that nobody has.
  skip(count) {
    this.inParts(count, () => EMPTY);
  }

  // Never more at once than the ring has room for: its summaries are made before it is written over.
  inParts(count, value) {
    const segment = this.segments.at(-1);
    const { room, values } = this.levels[0];
    const most = Math.min(AT_ONCE, room / 4);
    for (let from = 0; from < count; from += most) {
      const to = Math.min(count, from + most);
      const first = segment.starts[0] + segment.count - from;
      for (let trace = 0; trace < this.traces; trace++) {
        for (let row = from; row < to; row++) values[trace * room + ((first + row) % room)] = value(trace, row);
      }
      this.grow(segment, to - from);
    }
  }

  grow(segment, count) {
    const before = segment.count;
    segment.count += count;
    this.levels[0].end = segment.starts[0] + segment.count;
    for (let level = 1; level < LEVELS; level++) this.summarize(segment, level, before);
  }

  // The bins from the one on in which the sample `before` is; the last one may be unfinished.
  summarize({ starts, count }, level, before) {
    const own = this.levels[level];
    const below = this.levels[level - 1];
    const size = FACTOR ** level;
    const end = Math.ceil(count / size);
    const parts = Math.ceil((count * FACTOR) / size); // of the level below
    own.end = starts[level] + end;
    for (let trace = 0; trace < this.traces; trace++) {
      for (let bin = Math.floor(before / size); bin < end; bin++) {
        let [low, high] = [EMPTY, -EMPTY];
        for (let part = bin * FACTOR; part < Math.min(parts, (bin + 1) * FACTOR); part++) {
          const place = (trace * below.room + ((starts[level - 1] + part) % below.room)) * below.parts;
          const [least, most] = [below.values[place], below.values[place + below.parts - 1]];
          if (least === EMPTY_32) continue;
          if (least < low) low = least;
          if (most > high) high = most;
        }
        const place = (trace * own.room + ((starts[level] + bin) % own.room)) * 2;
        own.values[place] = low;
        own.values[place + 1] = high;
      }
    }
  }

  // -- what there is ----------------------------------------------------------------------------------------

  // The first bin of a segment that a level still has; it may be beyond the segment's end.
  first(segment, level) {
    const { end, room } = this.levels[level];
    return Math.max(0, end - room - segment.starts[level]);
  }

  // Lowest and highest of one bin, or null when it has no value or is gone.
  bin(trace, segment, level, bin) {
    const { room, parts, values } = this.levels[level];
    if (bin < this.first(segment, level) || bin * FACTOR ** level >= segment.count) return null;
    const place = (trace * room + ((segment.starts[level] + bin) % room)) * parts;
    const low = values[place];
    return low === EMPTY_32 ? null : { low: low + this.base(trace), high: values[place + parts - 1] + this.base(trace) };
  }

  base(trace) {
    return this.bases[trace] ?? 0;
  }

  // The finest level that still has a sample of a segment; LEVELS when none has.
  finest(segment, sample) {
    let level = 0;
    while (level < LEVELS && Math.floor(sample / FACTOR ** level) < this.first(segment, level)) level++;
    return level;
  }

  // What is known best of one sample: {low, high}, which are the same where it is still there itself.
  at(trace, segment, sample) {
    const level = this.finest(segment, sample);
    return level < LEVELS && sample >= 0 ? this.bin(trace, segment, level, Math.floor(sample / FACTOR ** level)) : null;
  }

  // Lowest and highest of the samples from `from` to before `to`; exact where they are still there, else of the bins that
  // hold them. Large bins are taken where they fit, so that it costs little however many samples there are.
  extremes(trace, segment, from, to) {
    let [low, high] = [Infinity, -Infinity];
    let sample = Math.max(0, from);
    const end = Math.min(to, segment.count);
    while (sample < end) {
      let level = this.finest(segment, sample);
      if (level === LEVELS) {
        sample = this.first(segment, LEVELS - 1) * FACTOR ** (LEVELS - 1); // what was before is gone
        continue;
      }
      const fits = (size) => sample % size === 0 && sample + size <= end;
      while (level + 1 < LEVELS && fits(FACTOR ** (level + 1))) level++;
      const size = FACTOR ** level;
      const found = this.bin(trace, segment, level, Math.floor(sample / size));
      if (found && found.low < low) low = found.low;
      if (found && found.high > high) high = found.high;
      sample = (Math.floor(sample / size) + 1) * size;
    }
    return low <= high ? { low, high } : null;
  }

  // -- for the GPU ------------------------------------------------------------------------------------------

  // What a level has that was not fetched yet, as pieces of its ring: [[first, end], …]. Each entry comes once, but for
  // the bin that is not finished.
  fetch(level) {
    const own = this.levels[level];
    const first = Math.max(own.clean, own.end - own.room);
    const last = this.segments.at(-1);
    const unfinished = last && level && last.count % FACTOR ** level !== 0;
    const pieces = [];
    for (let at = first; at < own.end; ) {
      const end = Math.min(own.end, at - (at % own.room) + own.room);
      pieces.push([at % own.room, (at % own.room) + end - at]);
      at = end;
    }
    own.clean = unfinished ? own.end - 1 : own.end;
    return pieces;
  }

  // All of it has to be fetched again: the GPU forgot.
  forget() {
    for (const level of this.levels) level.clean = 0;
  }
}

const EMPTY_32 = Math.fround(EMPTY);
