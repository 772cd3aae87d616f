// All that is done with each frame: taken from the rig, drawn, counted, measured. The page's own thread gets the results.
// Frames come by credits: as many are under way as can be drawn soon, so that none is old. A hidden page grants none.

import { Connection } from "./connection.js";
import { ImageGL } from "./image_gl.js";
import { npy, png } from "./save.js";
import { countSaturated, profile, region, sample } from "./statistics.js";
import { decodeFrame } from "./wire.js";

const CREDITS = 2;
const AGAIN_AFTER = 1000; // ms until a camera that ended is asked for frames again

const view = { x: 0, y: 0, zoom: 1, fit: true, low: 0, high: 65535, auto: true, log: false, saturated: 65535, colourMap: "viridis" };
const marks = { roi: null, line: null };
let connection, image, stream, wanted, again, waiting, shown;
let visible = true;
let owed = 0; // credits that are not granted again until a frame is drawn: frames come no faster than they are used
let drawing = false;
let counts;

const tell = (what, transfer = []) => self.postMessage(what, transfer);

// -- what the page asks for ---------------------------------------------------------------------------------

const DO = {
  begin({ canvas, place }) {
    image = new ImageGL(canvas, () => {
      if (shown) upload(shown);
      redraw();
    });
    connection = new Connection(place);
    connection.addEventListener("open", listen);
    connection.addEventListener("lost", () => tell({ is: "lost" }));
  },
  camera({ camera, scale }) {
    if (wanted && wanted.camera !== camera) forget();
    wanted = { camera, scale };
    // One stream after the other: a connection has one at a time.
    if (stream) stream.end();
    else if (connection.isOpen) listen();
  },
  view(change) {
    Object.assign(view, change.view);
    redraw();
  },
  size({ width, height }) {
    Object.assign(image.canvas, { width, height });
    redraw();
  },
  marks(change) {
    Object.assign(marks, change.marks);
    redraw();
  },
  visible(change) {
    visible = change.visible;
    if (!visible || !stream) return;
    // What came before the page was hidden is old by now.
    if (waiting) drop();
    grant();
  },
  async save({ format, number }) {
    if (!shown) return tell({ is: "saved", number, error: "there is no frame yet" });
    const { header, pixels, camera } = shown;
    if (format === "screen") {
      image.draw(placed());
      return tell({ is: "saved", number, blob: await image.canvas.convertToBlob(), header, camera });
    }
    const make = { npy, png }[format];
    tell({ is: "saved", number, blob: await make(pixels, header.width, header.height), header, camera });
  },
};

self.onmessage = async ({ data }) => {
  if (!image && data.do !== "begin") {
    if (data.number) tell({ is: "saved", number: data.number, error: "there is no image" }); // it was said why
    return;
  }
  try {
    await DO[data.do](data);
  } catch (error) {
    if (data.number) tell({ is: "saved", number: data.number, error: error.message });
    else tell({ is: "error", what: error.message });
  }
};

// -- frames from the rig ------------------------------------------------------------------------------------

function listen() {
  clearTimeout(again);
  if (!wanted?.camera) return;
  waiting = null;
  owed = visible ? 0 : CREDITS;
  counts = { received: 0, drawn: 0, replaced: 0, offered: 0, skipped: 0 };
  const asked = wanted;
  const over = (error) => {
    stream = null;
    if (!connection.isOpen) return; // it begins anew when the connection is back
    if (error && error.kind !== "ServerGone") tell({ is: "error", what: error.message });
    if (wanted !== asked) listen();
    else again = setTimeout(listen, AGAIN_AFTER);
  };
  stream = connection.begin("StreamFrames", { ...wanted, credits: visible ? CREDITS : 0 }, { onBinary: (buffer) => take(buffer, asked) });
  stream.done.then(() => over(null), over);
}

function take(buffer, { camera }) {
  if (camera !== wanted.camera) return; // on its way when another one was chosen
  counts.received++;
  if (waiting) drop(); // a newer one before it was drawn
  try {
    waiting = { ...decodeFrame(buffer), camera, at: performance.now() };
    redraw();
  } catch (error) {
    owed++;
    tell({ is: "error", what: error.message });
    grant();
  }
}

// What was seen is of another camera.
function forget() {
  waiting = shown = undefined;
  image.clear();
  tell({ is: "none" });
}

function drop() {
  waiting = null;
  counts.replaced++;
  owed++;
}

function grant() {
  if (!visible || !owed) return;
  stream?.more({ credits: owed });
  owed = 0;
}

// -- drawing, at the screen's own pace ----------------------------------------------------------------------

function redraw() {
  if (drawing) return;
  drawing = true;
  self.requestAnimationFrame(draw);
}

function draw() {
  drawing = false;
  try {
    drawNewest();
  } catch (error) {
    // The credit of a frame that cannot be drawn comes back: the next one may be better.
    owed++;
    grant();
    tell({ is: "error", what: error.message });
  }
}

function drawNewest() {
  const fresh = visible ? waiting : null;
  const began = performance.now();
  if (fresh) {
    waiting = null;
    if (Math.max(fresh.header.width, fresh.header.height) > image.largest) {
      throw new Error(`this browser shows at most ${image.largest} pixels a side: choose a preview`);
    }
    upload(fresh);
    account(fresh.header);
    shown = fresh;
    shown.sample = sample(shown.pixels);
  }
  if (!shown) return;
  if (view.auto) Object.assign(view, { low: shown.sample.low, high: shown.sample.high });
  image.draw(placed());
  const drawn = performance.now();
  report(Boolean(fresh), drawn - began);
  if (fresh) {
    owed++;
    grant();
  }
}

function upload({ pixels, header }) {
  image.upload(pixels, header.width, header.height);
}

// Of the frames since the stream began: shown here, offered and skipped by the rig for want of a credit.
function account(header) {
  counts.drawn++;
  Object.assign(counts, { offered: header.offered, skipped: header.skipped });
}

// The view in pixels of what was sent: a preview has fewer of them. `fit` shows all of the frame.
function placed() {
  const { width, height, scale } = shown.header;
  if (view.fit) {
    const { canvas } = image;
    view.zoom = Math.min(canvas.width / (width * scale), canvas.height / (height * scale));
    Object.assign(view, { x: (width * scale) / 2, y: (height * scale) / 2 });
  }
  return { ...view, x: view.x / scale, y: view.y / scale, zoom: view.zoom * scale };
}

function report(fresh, drawMs) {
  const { header, pixels, camera, at } = shown;
  const { width, height, scale } = header;
  const began = performance.now();
  if (fresh || shown.level !== view.saturated) {
    shown.level = view.saturated;
    shown.saturated = countSaturated(pixels, view.saturated);
  }
  const { roi, line } = marks;
  const small = (mark) => mark && Object.fromEntries(Object.entries(mark).map(([key, value]) => [key, value / scale]));
  const found = roi && region(pixels, width, height, small(roi));
  if (found) Object.assign(found, { x: found.x * scale, y: found.y * scale });
  const pointed = view.pointer && pixelAt(view.pointer.x / scale, view.pointer.y / scale);
  const now = Date.now() / 1000 + connection.offset;
  tell({
    is: "frame",
    fresh,
    camera,
    header,
    view: { ...view },
    counts: { ...counts },
    age: fresh ? now - header.host_time : null,
    taken: fresh ? performance.now() - at : null,
    sample: shown.sample,
    saturated: shown.saturated,
    roi: found,
    line: line && profile(pixels, width, height, small(line)),
    pointed,
    ms: { draw: drawMs, measure: performance.now() - began },
  });
}

function pixelAt(x, y) {
  const { width, height } = shown.header;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  return column >= 0 && row >= 0 && column < width && row < height ? shown.pixels[row * width + column] : null;
}
