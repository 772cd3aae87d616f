// The live image: its controls, what is known of the frame, region and line. The worker does all that costs time.

import { NAMES } from "./colormaps.js";
import { $, download, make, remember, remembered, say } from "./dom.js";
import { Gestures } from "./gestures.js";
import { Histogram } from "./histogram.js";
import { note } from "./log.js";
import { Overlay } from "./overlay.js";
import { Plot, axisLabel, brief } from "./plot.js";

const AGED = 200; // ms between two looks at how old the image is
const TOLD = 100; // ms between two times that the numbers of the newest frame are shown
const NONE = "no frame yet: it shows what the camera takes in a plan";
const OLD = 2; // s after which it is said that no frame comes

export class Image {
  constructor(place) {
    this.pixel = null; // {size, units} of the sensor's pixels on the object
    this.saves = new Map();
    this.frame = null;
    this.worker = new Worker(new URL("image_worker.js", place), { type: "module" });
    this.worker.onmessage = ({ data }) => this[`on_${data.is}`](data);
    this.worker.onerror = (event) => note(`the image's worker: ${event.message}`, "bad");
    this.overlay = new Overlay($("overlay"));
    this.histogram = new Histogram($("histogram"), (levels) => this.setView({ ...levels, auto: false }));
    this.line = new Plot($("line-plot"), $("line-said"));
    this.gestures = new Gestures($("overlay"), this.overlay, {
      onView: (view) => this.setView(view),
      onMarks: (marks) => this.setMarks(marks),
      onPointer: (pointer) => this.point(pointer),
      tool: () => document.querySelector("input[name=tool]:checked").value,
    });
    this.controls();
    const canvas = $("image").transferControlToOffscreen();
    this.send({ do: "begin", canvas, place: place.href }, [canvas]);
    this.setView({ colourMap: $("colours").value });
    this.watchSize();
    document.addEventListener("visibilitychange", () => this.send({ do: "visible", visible: !document.hidden }));
    this.send({ do: "visible", visible: !document.hidden });
    setInterval(() => this.showAge(), AGED);
  }

  send(what, transfer = []) {
    this.worker.postMessage(what, transfer);
  }

  // -- controls ---------------------------------------------------------------------------------------------

  controls() {
    const colours = $("colours");
    colours.append(...NAMES.map((name) => make("option", {}, name)));
    colours.value = NAMES.includes(remembered("colours", "")) ? remembered("colours", "") : NAMES[0];
    colours.onchange = () => {
      remember("colours", colours.value);
      this.setView({ colourMap: colours.value });
    };
    $("auto").onchange = () => this.setView({ auto: $("auto").checked });
    $("logarithmic").onchange = () => this.setView({ log: $("logarithmic").checked });
    for (const level of ["low", "high"]) {
      $(level).onchange = () => {
        const value = $(level).valueAsNumber;
        if (Number.isFinite(value)) this.setView({ [level]: value, auto: false });
      };
    }
    $("saturated").onchange = () => {
      const value = $("saturated").valueAsNumber;
      if (Number.isInteger(value) && value > 0 && value < 2 ** 32) this.setView({ saturated: value });
    };
    $("fit").onclick = () => this.setView({ fit: true });
    $("one-to-one").onclick = () => this.setView({ fit: false, zoom: 1 });
    $("camera").onchange = $("scale").onchange = () => this.choose();
    $("clear-marks").onclick = () => this.setMarks({ roi: null, line: null });
    $("screenshot").onclick = () => this.save("screen");
    $("save-npy").onclick = () => this.save("npy");
    $("save-png").onclick = () => this.save("png");
  }

  setCameras(names) {
    const chooser = $("camera");
    const before = chooser.value || remembered("camera", "");
    chooser.replaceChildren(...names.map((name) => make("option", {}, name)));
    if (names.includes(before)) chooser.value = before;
    $("image-panel").classList.toggle("empty", !names.length);
    $("no-frame").textContent = names.length ? NONE : "this rig has no camera";
    if (names.length && chooser.value !== this.chosen) this.choose();
    else if (names.length) this.onCamera?.(chooser.value); // its pixels may be others by now
  }

  choose() {
    this.chosen = $("camera").value;
    remember("camera", this.chosen);
    this.send({ do: "camera", camera: $("camera").value, scale: Number($("scale").value) });
    this.onCamera?.($("camera").value);
  }

  // Of the camera's pixels: at which counts one is full. What its person has set holds until the bits are others.
  setBits(camera, bits) {
    const known = `${camera} ${bits}`;
    if (known === this.bits) return;
    this.bits = known;
    $("saturated").value = 2 ** bits - 1;
    this.setView({ saturated: 2 ** bits - 1 });
  }

  setView(view) {
    this.send({ do: "view", view });
    if ("auto" in view) $("auto").checked = view.auto;
    // Without a frame there is no answer that would say so.
    if (!this.frame) for (const level of ["low", "high"]) if (level in view) $(level).value = view[level];
  }

  setMarks(marks) {
    Object.assign(this.overlay, marks);
    this.overlay.draw();
    this.send({ do: "marks", marks });
    if ("line" in marks) $("line-panel").hidden = !marks.line;
    if (marks.roi === null) $("roi-said").textContent = "";
  }

  point(pointer) {
    this.overlay.pointer = pointer;
    this.overlay.draw();
    this.setView({ pointer });
    if (!pointer) $("pointed").textContent = "";
  }

  // In the screen's own points, where the browser tells them: a canvas of another size would be blurred.
  watchSize() {
    const observer = new ResizeObserver(([entry]) => {
      const box = entry.devicePixelContentBoxSize?.[0];
      const ratio = devicePixelRatio || 1;
      const { inlineSize: width, blockSize: height } = box ?? entry.contentBoxSize[0];
      this.resize(Math.round(box ? width : width * ratio), Math.round(box ? height : height * ratio));
    });
    try {
      observer.observe($("overlay"), { box: "device-pixel-content-box" });
    } catch {
      observer.observe($("overlay")); // Safari has no such box
    }
  }

  resize(width, height) {
    const overlay = $("overlay");
    const size = { width: Math.max(1, width), height: Math.max(1, height) };
    Object.assign(overlay, size);
    this.send({ do: "size", ...size });
    this.overlay.draw();
  }

  // -- what the worker tells --------------------------------------------------------------------------------

  on_frame(told) {
    this.frame = told;
    if (told.fresh) this.seen = { at: performance.now(), age: told.age };
    const { x, y, zoom } = told.view;
    const { view: before } = this.overlay;
    this.overlay.view = told.view;
    if (before?.x !== x || before.y !== y || before.zoom !== zoom) this.overlay.draw();
    // Numbers faster than they can be read would only cost time.
    this.telling ??= setTimeout(() => this.tell(), this.toldAt ? Math.max(0, TOLD - (performance.now() - this.toldAt)) : 0);
  }

  // What is known of the newest frame.
  tell() {
    this.telling = null;
    this.toldAt = performance.now();
    const told = this.frame;
    if (!told) return;
    this.histogram.show(told.sample, told.view);
    $("no-frame").hidden = true;
    for (const level of ["low", "high"]) {
      const wanted = String(told.view[level]);
      if (document.activeElement !== $(level) && $(level).value !== wanted) $(level).value = wanted;
    }
    const { header, counts } = told;
    say($("frame-number"), header.sequence);
    say($("frame-size"), `${header.width} × ${header.height}${header.scale > 1 ? ` (1/${header.scale})` : ""}`);
    say($("skipped"), counts.skipped + counts.replaced);
    say($("full"), told.saturated);
    $("full").classList.toggle("bad", told.saturated > 0);
    this.showAge();
    this.showRegion(told.roi);
    this.showPointed(told.pointed);
    if (told.line) this.showLine(told.line);
  }

  // Another camera was chosen: nothing of the one before is shown under its name.
  on_none() {
    Object.assign(this, { frame: null, seen: null });
    $("no-frame").textContent = NONE;
    $("no-frame").hidden = false;
    for (const id of ["frame-number", "frame-size", "skipped", "full", "age", "lost"]) {
      say($(id), "–");
      $(id).classList.remove("bad");
    }
    for (const id of ["roi-said", "pointed", "line-said"]) say($(id), "");
    this.histogram.clear();
    this.line.show({ traces: [], x: { label: "" }, y: { label: "" } });
  }

  on_error({ what }) {
    if (what !== this.lastError) note(what, "bad");
    this.lastError = what;
    if (!this.frame) $("no-frame").textContent = what;
  }

  on_lost() {
    note("no frames: the connection broke", "bad");
  }

  on_saved({ number, ...result }) {
    this.saves.get(number)(result);
    this.saves.delete(number);
  }

  showAge() {
    if (!this.seen) return;
    const since = (performance.now() - this.seen.at) / 1000;
    const age = Math.max(0, this.seen.age) + since;
    say($("age"), age < 10 ? `${Math.round(age * 1000)} ms` : `${Math.round(age)} s`);
    $("age").classList.toggle("bad", since > OLD);
  }

  showRegion(found) {
    if (!found) return;
    const { count, mean, deviation, least, greatest, sum } = found;
    const { width, height } = this.overlay.roi ?? {};
    const { size, units } = this.pixel ?? {};
    const wide = size ? ` = ${brief(width * size)} × ${brief(height * size)} ${units}` : "";
    $("roi-said").textContent =
      `region: ${width} × ${height} px${wide}, ${count} pixels, mean ${brief(mean)}, deviation ${brief(deviation)}, ` +
      `${brief(least)} to ${brief(greatest)}, sum ${brief(sum)}, centre ${this.place(found.x, found.y)}`;
  }

  showPointed(value) {
    const { pointer } = this.overlay;
    if (!pointer) return;
    const counts = value == null ? "outside" : `${value} counts`;
    $("pointed").textContent = `${this.place(pointer.x, pointer.y)}: ${counts}`;
  }

  // In pixels, and in units where the size of a pixel is known.
  place(x, y) {
    const inPixels = `(${x.toFixed(1)}, ${y.toFixed(1)}) px`;
    if (!this.pixel) return inPixels;
    const { size, units } = this.pixel;
    return `${inPixels} = (${(x * size).toFixed(2)}, ${(y * size).toFixed(2)}) ${units}`;
  }

  showLine(values) {
    const { size, units } = this.pixel ?? { size: 1, units: "px" };
    const x = Float64Array.from(values, (_, index) => index * size);
    const axes = { x: { label: axisLabel("along the line", units) }, y: { label: axisLabel("pixel", "counts") } };
    this.line.show({ traces: [{ name: "pixel", x, y: values }], ...axes, points: false });
  }

  // -- files ------------------------------------------------------------------------------------------------

  // The file, or the picture as it is on the screen with its marks.
  async made(format) {
    const number = this.saves.size + 1 + (this.lastSave ?? 0);
    this.lastSave = number;
    const result = await new Promise((resolve) => {
      this.saves.set(number, resolve);
      this.send({ do: "save", format, number });
    });
    if (result.error) throw new Error(result.error);
    if (format !== "screen") return result;
    const picture = await createImageBitmap(result.blob);
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    this.overlay.draw(pen, false);
    return { ...result, blob: await canvas.convertToBlob() };
  }

  async save(format) {
    try {
      const { blob, header, camera } = await this.made(format);
      const ending = { screen: "screen.png", npy: "npy", png: "png" }[format];
      download(blob, `${camera}-${String(header.sequence).padStart(6, "0")}.${ending}`);
      note(`frame ${header.sequence} saved as ${ending}`);
    } catch (error) {
      note(error.message, "bad");
    }
  }
}
