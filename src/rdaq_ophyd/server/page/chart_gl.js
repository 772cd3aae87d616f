// Draws traces from rings on the GPU. Each sample is uploaded once, and so are its summaries; what is on the GPU is drawn
// in whatever view. A column of the screen shows the lowest and the highest of all that falls into it, joined to its
// neighbours, so that a spike of one sample is there at any zoom.

import { EMPTY, FACTOR, LEVELS } from "./chart_pyramid.js";

const WIDTH = 2048; // entries in a row of a texture: no GPU has less
const THICK = 1.6; // CSS pixels

const VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D ring;
uniform int room;         // entries of a trace
uniform int row;          // of the texture, where the trace begins
uniform int base;         // entry of the first bin of the piece
uniform int count;        // bins of the piece
uniform vec2 bins;        // where the first column begins, and how wide columns are; in bins
uniform float column;     // of the screen, the first one
uniform vec2 screen;      // points
uniform vec2 range;       // values at the bottom and at the top, logarithms when those are drawn
uniform float offset;     // to be added to the values of the ring
uniform float thick;      // points
uniform bool samples;     // single ones, joined by lines; else bins
uniform bool logarithmic;
const float NONE = 2.95e38;

vec2 entry(int bin) {
  int place = (base + bin) % room;
  vec2 found = texelFetch(ring, ivec2(place % ${WIDTH}, row + place / ${WIDTH}), 0).rg;
  if (samples) found = found.r > NONE ? vec2(NONE, -NONE) : found.rr;
  return found;
}

// The line between two samples, where it crosses the edge of a column.
void join(float at, inout vec2 found) {
  int before = int(floor(at));
  if (before < 0 || before + 1 >= count) return;
  vec2 left = entry(before), right = entry(before + 1);
  if (left.x > left.y || right.x > right.y) return;
  float value = mix(left.x, right.x, at - float(before));
  found = vec2(min(found.x, value), max(found.y, value));
}

vec2 extremes(int number) {
  float from = bins.x + float(number) * bins.y;
  float to = bins.x + float(number + 1) * bins.y;
  int first = max(0, int(samples ? ceil(from) : floor(from)));
  int last = min(count, int(samples ? floor(to) + 1.0 : ceil(to))) - 1;
  vec2 found = vec2(NONE, -NONE);
  for (int bin = first; bin <= last; bin++) {
    vec2 here = entry(bin);
    found = vec2(min(found.x, here.x), max(found.y, here.y));
  }
  if (samples) {
    join(from, found);
    join(to, found);
  } else if (first > 0 && found.x <= found.y) {
    vec2 before = entry(first - 1);
    if (before.x <= before.y) found = vec2(min(found.x, before.y), max(found.y, before.x));
  }
  return found;
}

float height(float value) {
  float shown = logarithmic ? log(max(value + offset, 1e-37)) / log(10.0) : value;
  return clamp((shown - range.x) / (range.y - range.x), -1.0, 2.0) * screen.y;
}

void main() {
  vec2 found = extremes(gl_InstanceID);
  if (found.x > found.y) {
    gl_Position = vec4(2.0, 2.0, 0.0, 1.0);
    return;
  }
  float low = height(found.x), high = height(found.y);
  float wider = max(0.0, thick - (high - low)) * 0.5;
  float up = (gl_VertexID >> 1) == 1 ? high + wider : low - wider;
  float across = column + float(gl_InstanceID) + float(gl_VertexID & 1);
  gl_Position = vec4(vec2(across, up) / screen * 2.0 - 1.0, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 colour;
out vec4 shown;
void main() { shown = colour; }`;

const UNIFORMS = ["ring", "room", "row", "base", "count", "bins", "column", "screen", "range", "offset", "thick", "samples", "logarithmic", "colour"];

export class ChartGL {
  // `onRestored` is called when the GPU, which had forgotten everything, can be used again.
  constructor(canvas, onRestored = () => {}) {
    this.canvas = canvas;
    this.uploaded = 0; // bytes
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.prepare();
      this.use(this.timeline);
      onRestored();
    });
    this.gl = canvas.getContext("webgl2", { alpha: true, antialias: false, depth: false });
    if (!this.gl) throw new Error("this browser has no WebGL2, which charts need: allow it, or use another browser");
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, text] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "WebGL failed");
    gl.useProgram(program);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.enable(gl.SCISSOR_TEST);
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]));
    this.textures = [];
  }

  // Another history: textures as large as its rings, a row of each for 2048 entries.
  use(timeline) {
    const gl = this.gl;
    this.timeline = timeline;
    for (const texture of this.textures) gl.deleteTexture(texture);
    this.textures = [];
    if (!timeline) return;
    timeline.pyramid.forget();
    this.textures = timeline.pyramid.levels.map(({ room, parts }) => {
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      for (const what of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, what, gl.NEAREST);
      gl.texStorage2D(gl.TEXTURE_2D, 1, parts === 1 ? gl.R32F : gl.RG32F, WIDTH, this.rows(room) * timeline.columns.length);
      return made;
    });
  }

  rows(room) {
    return Math.ceil(room / WIDTH);
  }

  // What is new, and nothing else.
  upload() {
    const { gl, timeline } = this;
    if (!timeline || gl.isContextLost()) return;
    const { pyramid } = timeline;
    pyramid.levels.forEach((level, number) => {
      const pieces = pyramid.fetch(number);
      if (pieces.length) gl.bindTexture(gl.TEXTURE_2D, this.textures[number]);
      for (const piece of pieces) for (let trace = 0; trace < pyramid.traces; trace++) this.put(level, trace, ...piece);
    });
  }

  // A piece of a trace's ring, in parts that are rectangles of the texture.
  put({ room, parts, values }, trace, first, end) {
    const gl = this.gl;
    const format = parts === 1 ? gl.RED : gl.RG;
    for (let at = first; at < end; ) {
      const across = at % WIDTH;
      const high = across ? 1 : Math.max(1, Math.floor((end - at) / WIDTH));
      const wide = Math.min(WIDTH - across, end - at);
      const row = trace * this.rows(room) + Math.floor(at / WIDTH);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, across, row, wide, high, format, gl.FLOAT, values, (trace * room + at) * parts);
      at += wide * high;
      this.uploaded += wide * high * parts * values.BYTES_PER_ELEMENT;
    }
  }

  clear() {
    const { gl, canvas } = this;
    gl.scissor(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  // One pane: {left, bottom, width, height} of the canvas, {from, perColumn} of time, and for each of its traces {trace,
  // colour: [r, g, b]}; {low, high, log} of its axis.
  draw(pane, time, axis, traces, ratio) {
    const { gl, timeline, at } = this;
    if (!timeline || gl.isContextLost() || pane.width < 1 || pane.height < 1) return;
    gl.viewport(pane.left, pane.bottom, pane.width, pane.height);
    gl.scissor(pane.left, pane.bottom, pane.width, pane.height);
    gl.uniform1i(at.ring, 0);
    gl.uniform2f(at.screen, pane.width, pane.height);
    gl.uniform1f(at.thick, THICK * ratio);
    gl.uniform1i(at.logarithmic, axis.log ? 1 : 0);
    for (const segment of timeline.segments) {
      for (const piece of this.pieces(segment, time, pane.width)) this.drawPiece(segment, piece, time, axis, traces, pane.width);
    }
  }

  // Which level shows which samples of a segment: the finest that has less than 16 bins for a column, and coarser ones
  // where that has fallen out of its ring. {level, first, end} in its bins.
  pieces(segment, { from, perColumn }, width) {
    const { timeline } = this;
    const wide = perColumn / timeline.period(segment);
    const start = Math.max(0, Math.floor(timeline.sampleAt(segment, from)) - 1);
    let upper = Math.min(segment.count, Math.ceil(timeline.sampleAt(segment, from + width * perColumn)) + 2);
    let level = Math.max(0, Math.min(LEVELS - 1, Math.floor(Math.log(wide) / Math.log(FACTOR))));
    const found = [];
    for (; level < LEVELS && start < upper; level++) {
      const size = FACTOR ** level;
      const oldest = timeline.pyramid.first(segment, level);
      const first = Math.max(Math.floor(start / size), oldest);
      const end = Math.ceil(upper / size);
      if (first >= end) continue;
      found.push({ level, size, first, end });
      upper = first * size;
    }
    return found;
  }

  drawPiece(segment, { level, size, first, end }, { from, perColumn }, { low, high, log }, traces, width) {
    const { gl, timeline, at } = this;
    const { room } = timeline.pyramid.levels[level];
    const [left, right] = [first * size, level ? end * size : end - 1].map((sample) => (timeline.timeOf(segment, sample) - from) / perColumn);
    const column = Math.max(0, Math.floor(left));
    const columns = Math.min(width, Math.floor(right) + 1) - column;
    if (columns < 1) return;
    // From a bin before the first that is seen: GPUs count with 24 bits.
    const begin = timeline.sampleAt(segment, from + column * perColumn) / size;
    const origin = Math.max(first, Math.floor(begin) - 1);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[level]);
    gl.uniform1i(at.room, room);
    gl.uniform1i(at.base, (segment.starts[level] + origin) % room);
    gl.uniform1i(at.count, end - origin);
    gl.uniform2f(at.bins, begin - origin, perColumn / timeline.period(segment) / size);
    gl.uniform1f(at.column, column);
    gl.uniform1i(at.samples, level ? 0 : 1);
    for (const { trace, colour } of traces) {
      const offset = timeline.pyramid.base(trace);
      gl.uniform1i(at.row, trace * this.rows(room));
      gl.uniform1f(at.offset, offset);
      const shown = log ? [Math.log10(low), Math.log10(high)] : [low - offset, high - offset];
      gl.uniform2f(at.range, ...shown);
      gl.uniform4f(at.colour, ...colour, 1);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, columns);
    }
  }
}
