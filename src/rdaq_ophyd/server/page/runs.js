// The RunEngine: what it does, how far it is, pause and its ends.

import { $, say } from "./dom.js";
import { failed, note } from "./log.js";

const IDLE = { engine: "idle", plan: "", run_uid: "", scan_id: "0", moving: [] };

export class Runs {
  constructor(connection) {
    this.connection = connection;
    this.state = IDLE;
    this.done = 0;
    this.streams = new Map();
    this.button("pause", "Pause", () => ({}));
    this.button("resume", "Resume", () => ({ accept_changes: $("run-reason").value }));
    this.button("finish", "Finish", () => ({ reason: $("run-reason").value }));
    this.button("abort", "Abort", () => ({ reason: $("run-reason").value }));
  }

  button(id, call, request) {
    $(id).onclick = async () => {
      $("run-error").textContent = "";
      try {
        this.show(await this.connection.ask(call, request()));
        $("run-reason").value = "";
      } catch (error) {
        failed(error, $("run-error"));
      }
    };
  }

  // A state of the rig: at once, and after each change.
  show(state) {
    if (state.engine !== this.state.engine) note(`the RunEngine is ${state.engine}${state.plan ? `: ${state.plan}` : ""}`);
    this.state = state;
    $("rig").textContent = state.rig;
    document.title = `${state.stopped ? "STOPPED – " : ""}${state.rig} – rdaq`;
    $("engine").textContent = state.engine;
    $("engine").className = `engine-${state.engine}`;
    $("plan").textContent = state.plan || "no plan";
    $("scan-id").textContent = Number(state.scan_id) ? `scan ${state.scan_id}` : "";
    $("moving").textContent = state.moving.length ? `by hand: ${state.moving.join(", ")}` : "";
    const observing = this.connection.role === "observe";
    const busy = state.engine !== "idle";
    $("pause").disabled = observing || state.engine !== "running";
    $("resume").disabled = observing || state.engine !== "paused";
    $("finish").disabled = $("abort").disabled = observing || !busy;
    $("run-reason").disabled = observing;
    this.progress(this.done); // of a run that began before this page
  }

  // -- documents --------------------------------------------------------------------------------------------

  take(name, document) {
    if (name === "start") this.begin(document);
    else if (name === "descriptor") this.streams.set(document.uid, document.name);
    else if (name === "event" && this.counts(document)) this.progress(document.seq_num);
    else if (name === "event_page" && this.counts(document)) this.progress(document.seq_num.at(-1));
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
