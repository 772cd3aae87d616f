// When samples were taken, what is missing between them, and where in the history they are.

import { FACTOR, LEVELS, Pyramid } from "./chart_pyramid.js";

const BREAK = 5; // s without samples, from which on nothing is kept of the time between
const MOST_GAPS = 500; // that are marked; all are counted
const LOOSE = 0.75; // of a reading's period, by which it may be late and still be the next one
const MEASURE = 30; // s of samples from which on their rate is measured: a card's clock is not the rig's

export class Timeline {
  // loose: readings that somebody asks for come when they come; `room` as for Pyramid.
  constructor(schema, traces, { loose = false, room } = {}) {
    this.schema = schema;
    this.columns = schema.columns.slice(0, traces);
    const wide = this.columns.map(({ dtype }) => /[iu]4|8/.test(dtype));
    this.pyramid = new Pyramid(wide, room);
    this.loose = loose;
    this.gaps = [];
    this.counts = { received: 0, dropped: 0, missing: 0, gaps: 0, restarts: 0 };
    this.next = null; // number of the sample that comes next
    this.origin = null; // s since 1970 of the first sample of all, from which times are counted here
    this.cut = false;
  }

  get segments() {
    return this.pyramid.segments;
  }

  get last() {
    return this.segments.at(-1);
  }

  // What comes next comes after the connection was broken; the rig counts anew what it dropped.
  lost() {
    this.cut = true;
  }

  // A block: number, shot and time of its first sample, and a column for each trace. `dropped`: since the block before.
  // Of what is missing, that is what the rig could not send in time; the rest the card lost, or there was no connection.
  take({ first, shot, time: clock, dropped = 0 }, columns) {
    const count = columns[0].length;
    if (!count) return;
    const time = clock - (this.origin ??= clock);
    const restarted = this.next !== null && (first < this.next || shot < this.shot);
    const missing = this.next === null || restarted ? 0 : first - this.next;
    const open = this.last && !restarted && this.last.rate === this.schema.rate;
    const late = open ? this.late(shot, time, missing) : null;
    const before = this.last && [this.last, this.last.count - 1];
    if (!open || late / this.schema.rate > BREAK) this.pyramid.begin({ rate: this.schema.rate, time, anchor: null });
    else if (late) this.pyramid.skip(late);
    const unread = this.loose && late > 0;
    if (before && (missing || restarted || this.cut || unread)) this.mark(before, { missing, dropped, restarted, cut: this.cut });
    this.pyramid.append(columns);
    Object.assign(this, { next: first + count, shot, cut: false });
    this.last.anchor = { sample: this.last.count - count, time };
    this.counts.received += count;
    this.counts.missing += missing;
    this.counts.dropped += dropped;
    if (restarted) this.counts.restarts++;
  }

  // Samples of time between the last one and this one. Within a shot they are counted; another shot begins when it begins.
  late(shot, time, missing) {
    if (shot === this.shot) return missing;
    const { last } = this;
    const late = (time - this.timeOf(last, last.count)) * last.rate;
    if (this.loose && late < LOOSE) return 0;
    return Math.max(1, Math.round(late)); // lines end with a shot
  }

  // Between the last sample before it and the first one after it.
  mark(from, about) {
    this.counts.gaps++;
    this.gaps.push({ from, to: [this.last, this.last.count], ...about });
    if (this.gaps.length > MOST_GAPS) this.gaps.shift();
  }

  // The gaps that lie between two times, with theirs.
  gapsBetween(from, to) {
    const timed = this.gaps.map((gap) => ({ ...gap, from: this.timeOf(...gap.from), to: this.timeOf(...gap.to) }));
    return timed.filter((gap) => gap.to >= from && gap.from <= to);
  }

  // -- time and place ---------------------------------------------------------------------------------------

  // Seconds from sample to sample: as the card says, and after a while as the rig's clock says.
  period({ rate, anchor, time }) {
    const measured = anchor && anchor.sample > MEASURE * rate ? (anchor.time - time) / anchor.sample : 0;
    return Math.abs(measured * rate - 1) < 0.01 ? measured : 1 / rate;
  }

  timeOf(segment, sample) {
    return segment.time + sample * this.period(segment);
  }

  // Sample of a segment at a time; not a whole number, and perhaps outside.
  sampleAt(segment, time) {
    return (time - segment.time) / this.period(segment);
  }

  // Of the newest sample; null when there is none.
  get end() {
    return this.last ? this.timeOf(this.last, this.last.count - 1) : null;
  }

  // Of the oldest that there is, at whatever level.
  get begin() {
    const segment = this.segments.find(({ count }) => count);
    if (!segment) return null;
    const top = LEVELS - 1;
    return this.timeOf(segment, Math.min(segment.count, this.pyramid.first(segment, top) * FACTOR ** top));
  }

  // Lowest and highest of a trace between two times.
  extremes(trace, from, to) {
    let [low, high] = [Infinity, -Infinity];
    for (const segment of this.segments) {
      const first = Math.max(0, Math.ceil(this.sampleAt(segment, from)));
      const end = Math.min(segment.count, Math.floor(this.sampleAt(segment, to)) + 1);
      const found = first < end && this.pyramid.extremes(trace, segment, first, end);
      if (found) [low, high] = [Math.min(low, found.low), Math.max(high, found.high)];
    }
    return low <= high ? { low, high } : null;
  }

  // The sample that is nearest to a time: where it is, when it was, and what each trace was; null between segments.
  at(time) {
    for (const segment of this.segments) {
      const sample = Math.round(this.sampleAt(segment, time));
      if (sample < 0 || sample >= segment.count) continue;
      const values = this.columns.map((_, trace) => this.pyramid.at(trace, segment, sample));
      return { time: this.timeOf(segment, sample), values };
    }
    return null;
  }
}
