// The page: lets its person in, connects, and hands what comes to those who show it.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Devices } from "./devices.js";
import { Door } from "./door.js";
import { Documents } from "./documents.js";
import { $, remember, remembered } from "./dom.js";
import { Image } from "./image.js";
import { beginLog, failed, note, noteLine } from "./log.js";
import { Plans } from "./plans.js";
import { Recent } from "./recent.js";
import { Runs } from "./runs.js";
import { Scans } from "./scans.js";
import { beginStop, listenForStop } from "./stop.js";
import { fromValue } from "./values.js";

const LOOK = 1000; // ms between two looks at what the camera lost
const ANSWER = 10_000; // ms for one; the next is not begun before
const NOW = 5; // s: what a run read longer ago is not shown as what is
const PIXEL_SIZE = "calibration.pixel_size";
const place = new URL(".", location.href);

function theme() {
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    remember("theme", name);
    dispatchEvent(new Event("theme")); // what is drawn has its colours too
  };
  set(remembered("theme", "dark"));
  $("theme").onclick = () => set(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

async function begin() {
  theme();
  beginLog();
  listenForStop();
  const door = new Door();
  await door.letIn();
  const connection = new Connection(place);
  const runs = new Runs(connection);
  const recent = new Recent(place);
  const scans = new Scans();
  const devices = new Devices(connection, () => look());
  const plans = new Plans(connection, (name) => devices.about(name));
  const image = new Image(place);
  const chart = new Chart(place);
  let gone = 0;

  const stop = beginStop(place, (state) => {
    runs.show(state);
    plans.allow(state);
    devices.settled(state);
  });
  for (const [name, each] of Object.entries({ rig: connection, stop })) {
    each.addEventListener("open", () => $(`${name}-link`).setAttribute("class", "on"));
    each.addEventListener("lost", () => $(`${name}-link`).setAttribute("class", "off"));
    if (each === stop) for (const is of ["open", "lost"]) each.addEventListener(is, () => document.body.classList.toggle("unheard", is === "lost"));
    // The rig may ask for a token by now: it was started anew, or has another one. It does not say so to a WebSocket.
    each.addEventListener("refused", async () => {
      if (await door.letIn()) for (const one of [connection, stop]) one.hurry();
      else door.tell("the rig has no room for this page, or its path breaks: trying again");
    });
  }
  connection.addEventListener("pong", () => {
    $("who").textContent = `${connection.who}: ${connection.role}`;
    $("round-trip").textContent = `${connection.roundTrip.toFixed(0)} ms`;
    if (devices.role === connection.role) return;
    devices.setRole(connection.role);
    plans.allow();
    runs.allow();
  });
  connection.addEventListener("lost", () => {
    gone = performance.now();
    door.connected(false, "no connection: trying again");
    document.body.classList.add("disconnected");
    devices.lost();
    note("the connection to the rig broke", "warn");
  });
  // What there is.
  const look = async () => {
    chart.load(connection).catch(failed);
    try {
      image.setCameras(await devices.load());
      await plans.load();
      devices.setRole(connection.role);
      image.pixel = await pixelSize(connection);
      await recent.load();
    } catch (error) {
      failed(error);
    }
  };
  $("refresh").onclick = look;
  connection.addEventListener("open", () => {
    door.connected(true, "connected");
    document.body.classList.remove("disconnected");
    if (gone) note(`connected again after ${((performance.now() - gone) / 1000).toFixed(1)} s; frames of meanwhile were not seen here`, "warn");
    look();
  });
  const begun = (document) => {
    recent.begin(document);
    if ($("camera").value) image.onCamera?.($("camera").value); // its pixels may be others than in the run before
  };
  const documents = new Documents(connection, {
    onGap: () => scans.gap(),
    onAnew: () => recent.lost(),
    onDocument: (name, document) => {
      runs.take(name, document);
      scans.take(name, document);
      if (name === "start") begun(document);
      else if (name === "stop") recent.end(document);
      else if (name === "event" && Date.now() / 1000 + connection.offset - document.time < NOW) devices.take(document.data);
    },
  });
  followLog(connection);
  image.onCamera = async (camera) => {
    try {
      const { readings } = await connection.ask("Read", { names: [`${camera}.pixel_format`] }, ANSWER);
      const bits = Number(String(fromValue(Object.values(readings)[0].value)).replace("Mono", ""));
      if (bits > 0 && bits <= 32) image.setBits(camera, bits);
    } catch (error) {
      failed(error);
    }
  };
  // How many the camera lost, as it tells itself: what is skipped here says nothing of that. And the size of a pixel,
  // which may be calibrated anew. Neither asks an instrument.
  let looking = false;
  setInterval(async () => {
    const camera = $("camera").value;
    if (!camera || looking || document.hidden || !connection.isOpen) return;
    looking = true;
    try {
      const { readings } = await connection.ask("Read", { names: [`${camera}.frames_lost`, ...(image.pixel ? [PIXEL_SIZE] : [])] }, ANSWER);
      const { [PIXEL_SIZE.replace(".", "-")]: size, ...others } = readings;
      if (size && image.pixel) image.pixel.size = fromValue(size.value);
      const lost = fromValue(Object.values(others)[0].value);
      $("lost").textContent = lost;
      $("lost").classList.toggle("bad", lost > 0);
      $("lost").title = "";
    } catch (error) {
      $("lost").textContent = "–";
      if (error.kind !== "ServerGone") $("lost").title = error.message;
    } finally {
      looking = false;
    }
  }, LOOK);
  // For a person at the browser's console, and for the tests.
  window.rdaq = { connection, stop, runs, recent, plans, scans, devices, documents, image, chart };
}

// The rig's own log, behind the last line that came.
function followLog(connection) {
  let [instance, since] = ["", "0"];
  connection.follow("WatchLog", () => ({ instance, since }), {
    onBegun: (told) => (instance = told["rdaq-instance"]),
    onItem: (line) => {
      since = line.number;
      noteLine(line);
    },
    onError: failed,
  });
}

// Of the rig's calibration; null where it has none.
async function pixelSize(connection) {
  const about = await connection.ask("DescribeDevice", { name: "calibration" });
  const signal = about.signals.find(({ name }) => name === PIXEL_SIZE);
  if (!signal) return null;
  const { readings } = await connection.ask("Read", { names: [signal.name] });
  return { size: fromValue(Object.values(readings)[0].value), units: signal.units };
}

begin().catch(failed);
