// The RunEngine: what it does, how far it is, pause and its ends.

import { $, say } from "./dom.js";
import { failed, note } from "./log.js";

const ACCEPT = "put it back and resume again, or write beside “Why” that it is right and resume again, or abort";
const IDLE = { engine: "idle", plan: "", run_uid: "", scan_id: "0", moving: [] };

export class Runs {
  constructor(connection) {
    this.connection = connection;
    this.state = IDLE;
    this.done = 0;
    this.streams = new Map();
    this.button("pause", "Pause", () => ({}));
    this.told = ""; // what changed in this pause, as a Resume was refused for it: a reason accepts that, and nothing else
    this.button("resume", "Resume", () => (this.told ? { accept_changes: $("run-reason").value, told: this.told } : {}));
    this.button("finish", "Finish", () => ({ reason: $("run-reason").value }));
    this.button("abort", "Abort", () => ({ reason: $("run-reason").value }));
  }

  button(id, call, request) {
    $(id).onclick = async () => {
      $("run-error").textContent = "";
      try {
        await this.connection.ask(call, request()); // what is then comes by itself, and may have come already
        $("run-reason").value = "";
      } catch (error) {
        this.told = error.about === "accept_changes" ? error.what : "";
        failed(this.told ? new Error(`${error.what} → ${ACCEPT}`) : error, $("run-error"));
      }
    };
  }

  // A state of the rig: at once, and after each change.
  show(state) {
    if (state.engine !== "paused") this.told = "";
    if (state.engine !== this.state.engine) note(`the RunEngine is ${state.engine}${state.plan ? `: ${state.plan}` : ""}`);
    this.state = state;
    $("rig").textContent = state.rig;
    document.title = `${state.stopped ? "STOPPED – " : ""}${state.rig} – rdaq`;
    $("engine").textContent = state.engine;
    $("engine").className = `engine-${state.engine}`;
    $("plan").textContent = state.plan || "no plan";
    $("scan-id").textContent = Number(state.scan_id) ? `scan ${state.scan_id}` : "";
    $("moving").textContent = state.moving.length ? `by hand: ${state.moving.join(", ")}` : "";
    this.allow();
    this.progress(this.done); // of a run that began before this page
  }

  // Those who may only look end nothing.
  allow() {
    const { engine } = this.state;
    const observing = this.connection.role === "observe";
    $("pause").disabled = observing || engine !== "running";
    $("resume").disabled = observing || engine !== "paused";
    $("finish").disabled = $("abort").disabled = observing || engine === "idle";
    $("run-reason").disabled = observing;
  }

  // -- documents --------------------------------------------------------------------------------------------

  take(name, document) {
    if (name === "start") this.begin(document);
    else if (name === "descriptor") this.streams.set(document.uid, document.name);
    else if (name === "event" && this.counts(document)) this.reached(document.seq_num);
    else if (name === "event_page" && this.counts(document)) this.reached(document.seq_num.at(-1));
    else if (name === "stream_datum" && this.counts(document)) this.reached(document.seq_nums.stop - 1); // of a flight
    else if (name === "stop") this.points = undefined;
  }

  begin(start) {
    this.streams = new Map();
    this.points = Array.isArray(start.shape) ? start.shape.reduce((a, b) => a * b, 1) : start.num_points;
    this.progress(0);
  }

  // The points of a scan are those of its first stream; others, such as the baseline, have their own count.
  counts({ descriptor }) {
    return (this.streams.get(descriptor) ?? "primary") === "primary";
  }

  reached(number) {
    this.progress(Math.max(this.done, number));
  }

  progress(done) {
    this.done = done;
    const bar = $("progress");
    bar.hidden = !(this.points > 0) || this.state.engine === "idle";
    if (bar.hidden) return say($("progress-said"), "");
    bar.max = this.points;
    bar.value = done;
    $("progress-said").textContent = `${done} of ${this.points}`;
  }
}
