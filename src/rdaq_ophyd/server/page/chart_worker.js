// All that is done with samples: taken from the rig, kept, uploaded, drawn. The page's own thread hears ten times a second
// how it stands.

import { ChartAxes } from "./chart_axes.js";
import { AROUND, colourOf, parts } from "./chart_colours.js";
import { ChartGL } from "./chart_gl.js";
import { MOST_TRACES } from "./chart_pyramid.js";
import { SampleSource, SignalSource } from "./chart_source.js";
import { Timeline } from "./chart_timeline.js";
import { ChartView } from "./chart_view.js";
import { Connection } from "./connection.js";

const TOLD = 100; // ms between two times that it is told how it stands
const view = new ChartView();
const KINDS = { samples: SampleSource, signal: SignalSource };
const tell = (what) => self.postMessage(what);
const say = (state, what = "") => tell({ is: "state", state: (said = state), what });

let place, connection, gl, axes, timeline, source, heardAt;
let wanted = null;
let closing = Promise.resolve();
let theme = "dark";
let ratio = 1;
let visible = true;
let pointed = null; // share of the window at which the cursor is
let due = false;
let said = "none"; // how the source is
let broken = "";
let scene = null; // what was drawn last
let telling = null;
let toldAt = 0;
let counts = { blocks: 0, bytes: 0, drawn: 0 };

// -- what the page asks for ---------------------------------------------------------------------------------

const DO = {
  begin(about) {
    place = about.place;
    gl = new ChartGL(about.traces, redraw);
    axes = new ChartAxes(about.around);
  },
  // {kind, name, units} or null; the same again begins anew.
  async source({ source: asked }) {
    wanted = asked;
    said = "none";
    const before = source;
    source = null;
    use(null);
    if (before) closing = closing.then(() => before.close());
    await closing; // a connection has one stream at a time
    if (wanted !== asked || !asked) return; // another one was chosen meanwhile
    source = new KINDS[asked.kind](connected(), asked.name, MOST_TRACES, { units: asked.units, ...heard });
    source.setVisible(visible);
  },
  view({ view: change }) {
    const { hidden, range, ...others } = change;
    if (hidden) view.hidden = new Set(hidden);
    if (range) Object.assign(view.range(range.units), range, { fitted: false });
    Object.assign(view, others);
    if (timeline) view.clamp(timeline);
    redraw();
  },
  move({ zoom, share = 0.5, pan, to }) {
    if (!timeline || timeline.end === null) return;
    if (zoom) view.zoom(zoom, share, timeline);
    if (pan) view.pan(pan, timeline);
    if (to === "newest") view.follow();
    if (to === "here") view.hold(timeline);
    if (to === "oldest") view.pan((timeline.begin + view.span - (view.end ?? timeline.end)) / view.span, timeline);
    redraw();
  },
  // By its share of the window's width, null without one.
  point({ share }) {
    pointed = share;
    redraw();
  },
  theme(change) {
    theme = change.theme;
    redraw();
  },
  size(change) {
    ratio = change.ratio;
    for (const canvas of [gl.canvas, axes.canvas]) Object.assign(canvas, { width: change.width, height: change.height });
    redraw();
  },
  visible(change) {
    visible = change.visible;
    source?.setVisible(visible);
    redraw();
  },
  async save({ number, layer }) {
    drawAll();
    const blob = layer === "traces" ? await gl.canvas.convertToBlob() : await whole();
    tell({ is: "saved", number, blob });
  },
};

self.onmessage = async ({ data }) => {
  if (broken) {
    if (data.do === "source") say("error", broken);
    if (data.number) tell({ is: "saved", number: data.number, error: broken });
    return;
  }
  try {
    await DO[data.do](data);
  } catch (error) {
    if (data.do === "begin") broken = error.message; // nothing can be drawn here
    if (data.number) tell({ is: "saved", number: data.number, error: error.message });
    else say("error", error.message);
  }
};

// Only who looks at something needs one.
function connected() {
  if (!connection) {
    connection = new Connection(place);
    connection.addEventListener("lost", () => {
      timeline?.lost();
      say("lost", "the connection broke");
    });
  }
  return connection;
}

async function whole() {
  const canvas = new OffscreenCanvas(gl.canvas.width, gl.canvas.height);
  const pen = canvas.getContext("2d");
  pen.fillStyle = AROUND[theme].back;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(axes.canvas, 0, 0);
  drawAll(); // within one task: what was drawn before another one is gone
  pen.drawImage(gl.canvas, 0, 0);
  return canvas.convertToBlob();
}

// -- what comes ---------------------------------------------------------------------------------------------

const heard = {
  onSchema(schema, loose) {
    const same = timeline && JSON.stringify(timeline.schema.columns) === JSON.stringify(schema.columns);
    if (same) timeline.schema = schema; // perhaps another rate
    else use(new Timeline(schema, MOST_TRACES, { loose }), Boolean(timeline));
    say("waiting");
  },
  onBlock(header, columns, bytes) {
    const before = timeline.end;
    timeline.take(header, columns);
    counts.blocks++;
    counts.bytes += bytes;
    heardAt = Date.now();
    if (said !== "live") say("live");
    // What stands is not drawn anew for what comes behind it.
    if (view.live || view.end > before) redraw();
    report(); // also while the screen is late
  },
  onState: say,
};

// `anew`: in the place of one that had other columns.
function use(made, anew = false) {
  timeline = made;
  counts = { blocks: 0, bytes: 0, drawn: 0 };
  heardAt = scene = null;
  view.follow();
  view.ranges.clear();
  gl.use(made);
  gl.uploaded = 0;
  if (made) {
    const columns = made.columns.map(({ name, units }) => ({ name, units }));
    const left = made.schema.columns.length - columns.length;
    tell({ is: "columns", columns, left, anew, rate: made.schema.rate, memory: made.pyramid.bytes });
  } else tell({ is: "columns", columns: [], left: 0, anew, rate: 0, memory: 0 });
  redraw();
}

// -- drawing, at the screen's own pace ----------------------------------------------------------------------

function redraw() {
  if (due) return;
  due = true;
  self.requestAnimationFrame(() => {
    due = false;
    try {
      drawAll();
      if (scene) counts.drawn++;
    } catch (error) {
      say("error", error.message);
    }
  });
}

function drawAll() {
  const { canvas } = gl;
  gl.clear();
  if (!timeline || timeline.end === null) {
    axes.clear();
    scene = null;
    return report();
  }
  gl.upload();
  const panes = view.panes(timeline, canvas.width, canvas.height, ratio);
  const window = view.window(timeline, panes[0]?.width ?? 1);
  const ranges = panes.map((pane) => view.axis(pane, timeline, window));
  panes.forEach((pane, index) => {
    const traces = pane.traces.map((trace) => ({ trace, colour: parts(colourOf(theme, trace)) }));
    gl.draw({ ...pane, bottom: canvas.height - pane.top - pane.height }, window, ranges[index], traces, ratio);
  });
  const gaps = timeline.gapsBetween(window.from, window.to);
  const cursor = pointed === null ? null : { time: window.from + pointed * (window.to - window.from) };
  scene = { panes, axes: ranges, window, timeline, gaps, cursor, ratio, clock: view.clock, theme: AROUND[theme] };
  axes.draw(scene);
  report();
}

// Numbers faster than they can be read would only cost time.
function report() {
  telling ??= setTimeout(tellAll, Math.max(0, TOLD - (Date.now() - toldAt)));
}

function tellAll() {
  telling = null;
  toldAt = Date.now();
  if (!timeline) return;
  const told = { is: "chart", counts: { ...counts, ...timeline.counts, uploaded: gl.uploaded }, live: view.live, span: view.span };
  if (scene) {
    const { window, panes, axes: ranges, gaps, cursor } = scene;
    Object.assign(told, {
      window,
      origin: timeline.origin,
      begin: timeline.begin,
      end: timeline.end,
      newest: timeline.at(timeline.end).values,
      pending: view.live ? 0 : timeline.end - view.end,
      heard: heardAt,
      ranges: panes.map(({ units }, index) => ({ units, ...ranges[index], auto: view.range(units).auto })),
      panes: panes.map(({ left, top, width, height, traces }) => ({ left, top, width, height, traces })),
      cursor: cursor && { time: cursor.time, found: timeline.at(cursor.time), gap: gaps.find(({ from, to }) => between(cursor.time, from, to)) ?? null },
    });
  }
  tell(told);
}

// Of a narrow gap what it is wide on the screen.
const between = (time, from, to) => {
  const room = 2 * scene.window.perColumn;
  return time >= from - room && time <= to + room;
};
