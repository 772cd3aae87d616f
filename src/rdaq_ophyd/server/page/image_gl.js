// Draws a frame: its pixels stay integers on the GPU, where levels and colours are applied.

import { table } from "./colormaps.js";

const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

// Zoomed out, a point of the screen is the mean of the pixels below it (up to 4 × 4), and is marked if one is saturated:
// a small spot must not vanish between two points.
const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D frame;
uniform sampler2D colours;
uniform vec2 middle;    // of the screen, pixels of the frame
uniform vec2 screen;    // points
uniform float zoom;     // points a pixel
uniform vec2 levels;
uniform bool logarithmic;
uniform uint saturated;
out vec4 colour;
void main() {
  ivec2 size = textureSize(frame, 0);
  vec2 offset = (vec2(gl_FragCoord.x, screen.y - gl_FragCoord.y) - 0.5 * screen) / zoom;
  vec2 place = middle + offset;
  if (place.x < 0.0 || place.y < 0.0 || place.x >= float(size.x) || place.y >= float(size.y)) {
    colour = vec4(0.06, 0.07, 0.08, 1.0);
    return;
  }
  int side = clamp(int(ceil(1.0 / zoom)), 1, 4);
  float step = max(1.0 / zoom / float(side), 1.0);
  ivec2 first = side == 1 ? ivec2(place) : ivec2(place - 0.5 / zoom);
  float sum = 0.0;
  bool full = false;
  for (int row = 0; row < side; row++) {
    for (int column = 0; column < side; column++) {
      ivec2 at = clamp(first + ivec2(vec2(column, row) * step), ivec2(0), size - 1);
      uint value = texelFetch(frame, at, 0).r;
      full = full || value >= saturated;
      sum += float(value);
    }
  }
  float value = sum / float(side * side);
  float range = levels.y - levels.x;
  float share = logarithmic ? log(1.0 + max(value - levels.x, 0.0)) / log(1.0 + range) : (value - levels.x) / range;
  colour = texelFetch(colours, ivec2(int(clamp(share, 0.0, 1.0) * 255.0 + 0.5), 0), 0);
  if (full) colour = vec4(1.0, 0.15, 0.1, 1.0);
}`;

// Per kind of array: the texture's format, and what is uploaded.
const FORMATS = { Uint8Array: ["R8UI", "UNSIGNED_BYTE"], Uint16Array: ["R16UI", "UNSIGNED_SHORT"], Uint32Array: ["R32UI", "UNSIGNED_INT"] };

export class ImageGL {
  // `onRestored` is called when the GPU, which had forgotten everything, can be used again.
  constructor(canvas, onRestored = () => {}) {
    this.canvas = canvas;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.prepare();
      onRestored();
    });
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!this.gl) throw new Error("this browser has no WebGL2, which the image needs: allow it, or use another browser");
    this.prepare();
  }

  prepare() {
    const gl = this.gl;
    const program = (this.program = gl.createProgram());
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
    this.at = (name) => gl.getUniformLocation(program, name);
    gl.uniform1i(this.at("frame"), 0);
    gl.uniform1i(this.at("colours"), 1);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.colours = this.texture(gl.TEXTURE1);
    this.frame = null;
    this.shape = "";
    this.colourMap = "";
  }

  texture(unit) {
    const gl = this.gl;
    const made = gl.createTexture();
    gl.activeTexture(unit);
    gl.bindTexture(gl.TEXTURE_2D, made);
    for (const what of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, what, gl.NEAREST);
    return made;
  }

  get largest() {
    return this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE);
  }

  // Take a frame. The texture is made anew only when frames change their size or kind.
  upload(pixels, width, height) {
    const gl = this.gl;
    const [format, type] = FORMATS[pixels.constructor.name];
    const shape = `${format} ${width} ${height}`;
    if (shape !== this.shape) {
      if (this.frame) gl.deleteTexture(this.frame);
      this.frame = this.texture(gl.TEXTURE0);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl[format], width, height);
      this.shape = shape;
    }
    gl.activeTexture(gl.TEXTURE0);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RED_INTEGER, gl[type], pixels);
  }

  // Of no frame.
  clear() {
    const gl = this.gl;
    if (this.frame) gl.deleteTexture(this.frame);
    Object.assign(this, { frame: null, shape: "" });
    gl.clearColor(0.06, 0.07, 0.08, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  // view: {x, y, zoom, low, high, log, saturated, colourMap}
  draw(view) {
    const gl = this.gl;
    if (!this.frame || gl.isContextLost()) return;
    if (view.colourMap !== this.colourMap) {
      gl.activeTexture(gl.TEXTURE1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table(view.colourMap));
      this.colourMap = view.colourMap;
    }
    const { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    // On whole points of the screen: else a border between two pixels may fall on either.
    const onPoint = (middle, size) => (Math.round(middle * view.zoom - size / 2) + size / 2) / view.zoom;
    gl.uniform2f(this.at("middle"), onPoint(view.x, width), onPoint(view.y, height));
    gl.uniform2f(this.at("screen"), width, height);
    gl.uniform1f(this.at("zoom"), view.zoom);
    gl.uniform2f(this.at("levels"), view.low, Math.max(view.high, view.low + 1));
    gl.uniform1i(this.at("logarithmic"), view.log ? 1 : 0);
    gl.uniform1ui(this.at("saturated"), view.saturated);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
}
