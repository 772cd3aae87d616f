// Documents of the runs, none left out: after a cut the rig goes on where this page was, and says what it does not have any more.

import { failed, note } from "./log.js";
import { decodeDocument } from "./wire.js";

export class Documents {
  // `onDocument(name, document)`; `onGap()` where some are missing, `onAnew()` when the rig was started anew.
  constructor(connection, { onDocument, onGap, onAnew }) {
    Object.assign(this, { onDocument, onGap, onAnew, instance: "", position: 0 });
    connection.follow("StreamDocuments", () => this.wanted(), {
      onBegun: (told) => this.begun(told),
      onItem: (item) => this.take(item),
      onError: failed,
    });
  }

  // At first the run that is under way, from its start; then what came since.
  wanted() {
    return { open_run: true, instance: this.instance, since: String(this.position) };
  }

  begun(told) {
    const instance = told["rdaq-instance"];
    const lost = Number(told["rdaq-lost"]);
    const anew = this.instance && instance !== this.instance;
    if (anew) note("the rig was started anew: documents of before may be missing here; the catalog has them", "warn");
    else if (lost) note(`${lost} documents are missing here; the catalog has them`, "warn");
    if (anew || lost) this.onGap();
    if (anew) this.onAnew();
    Object.assign(this, { instance, position: Number(told["rdaq-position"]) });
  }

  take({ line, position }) {
    this.position = Number(position);
    this.onDocument(...decodeDocument(line));
  }
}
