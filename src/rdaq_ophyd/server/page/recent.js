// Recent runs: those that the catalog has, and those that are made while the page is open; each leads into Tiled.

import { $, make } from "./dom.js";
import { note } from "./log.js";

const KEPT = 30;
const AGAIN = 3000; // ms until a catalog that is not up is asked again, which takes seconds to start; then twice as long each time
const LONGEST = 60_000;
const RUNNING = "running";
const LOST = "not ended";
// Of each run, by Tiled's own choice of metadata (JMESPath): start documents may be large.
const ABOUT = "{uid:start.uid,scan_id:start.scan_id,plan_name:start.plan_name,time:start.time,exit_status:stop.exit_status,reason:stop.reason}";

export class Recent {
  constructor(place) {
    this.place = place;
    this.items = new Map();
    this.wait = AGAIN;
    $("recent-refresh").onclick = () => this.load();
  }

  // Ask the catalog, newest first; each request costs it some 40 ms, so that it is asked once.
  async load() {
    clearTimeout(this.again);
    const where = new URL("api/v1/search/", this.place);
    const query = { "page[limit]": KEPT, sort: "-", fields: "metadata", select_metadata: ABOUT };
    for (const [name, value] of Object.entries(query)) where.searchParams.set(name, value);
    try {
      if (!(await (await fetch("whoami")).json()).catalog) {
        this.again = setTimeout(() => this.load(), this.wait);
        this.wait = Math.min(2 * this.wait, LONGEST);
        throw new Error("the catalog is not up: these are the runs that were seen here");
      }
      this.wait = AGAIN;
      const reply = await fetch(where);
      const said = await reply.json();
      if (!reply.ok) throw new Error(said.what ?? `the catalog says ${reply.status}`);
      const found = said.data.reverse().map(({ attributes }) => attributes.metadata.selected);
      for (const run of found) if (run.uid) this.put(run); // a catalog may hold other things, such as the runs of checks
      $("recent-said").textContent = this.items.size ? "" : "the catalog has no runs yet";
    } catch (error) {
      $("recent-said").textContent = error.message;
    }
  }

  // Add a run, or what is new of it.
  put({ uid, scan_id, plan_name, time, exit_status, reason }) {
    const known = this.items.get(uid);
    if (!known) this.add(uid, `scan ${scan_id ?? "–"} ${plan_name ?? ""}`, time);
    this.tell(uid, exit_status ?? (known ? null : LOST), reason);
  }

  add(uid, label, time) {
    const link = make("a", { href: `ui/browse/${encodeURIComponent(uid)}`, target: "_blank", rel: "noopener", title: `${uid}, in Tiled` }, label);
    const when = new Date(1000 * time);
    const status = make("span", { class: "status" });
    const element = make("li", {}, make("time", { datetime: when.toISOString() }, when.toLocaleString()), " ", link, status, make("code", {}, uid.slice(0, 8)));
    const later = [...this.items.values()].find((other) => other.time <= time);
    if (later) later.element.before(element);
    else $("recent").append(element);
    this.items.set(uid, { label, status, element, time });
    this.items = new Map([...this.items].sort(([, one], [, other]) => other.time - one.time));
    for (const [old, { element: gone }] of [...this.items].slice(KEPT)) {
      gone.remove();
      this.items.delete(old);
    }
  }

  tell(uid, status, reason = "") {
    const item = this.items.get(uid);
    if (!item || !status) return;
    item.status.textContent = status;
    item.status.className = `status ${status}`;
    item.status.title = reason ?? "";
  }

  // -- documents --------------------------------------------------------------------------------------------

  begin(start) {
    this.put(start);
    this.tell(start.uid, RUNNING);
    note(`scan ${start.scan_id} ${start.plan_name ?? ""} began`);
    $("recent-said").textContent = "";
  }

  // The rig was started anew: nothing that ran before runs on.
  lost() {
    for (const { status } of this.items.values()) {
      if (status.textContent === RUNNING) Object.assign(status, { textContent: LOST, className: "status" });
    }
  }

  end(stop) {
    const item = this.items.get(stop.run_start);
    if (!item) return; // it began before the page was opened
    this.tell(stop.run_start, stop.exit_status, stop.reason);
    note(`${item.label}: ${stop.exit_status} ${stop.reason}`, stop.exit_status === "success" ? "" : "bad");
  }
}
