// Who may come in: a rig that asks for tokens gets one, and the browser keeps a cookie that no script can read.

import { $ } from "./dom.js";

const ASK_FOR = 5000; // ms for an answer
const AGAIN = 1000;
const STRANGER = [401, 429]; // the latter where strangers come too often: who shows a known token never gets it

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Door {
  constructor() {
    this.isConnected = false;
  }

  // How it stands, in the page's head.
  connected(is, text) {
    this.isConnected = is;
    $("connection").textContent = text;
  }

  // What a request found out; where there is a connection, that knows better.
  tell(text) {
    if (!this.isConnected) $("connection").textContent = text;
  }

  // Until this browser is known: asks again while nobody answers, and the person where the rig knows no token of theirs.
  // Whether the person was asked.
  letIn() {
    this.asking ??= this.ask().finally(() => (this.asking = null));
    return this.asking;
  }

  async ask() {
    for (let asked = false; ; ) {
      const status = await this.status();
      if (status === 200 || (this.isConnected && !STRANGER.includes(status))) return asked;
      if (STRANGER.includes(status)) {
        this.tell("this rig asks for your token");
        await this.token();
        asked = true;
      } else {
        this.tell(status ? `the rig says ${status}: trying again` : "no connection: trying again");
        await pause(AGAIN);
      }
    }
  }

  // 0 where nobody answers.
  async status() {
    try {
      return (await fetch("whoami", { cache: "no-store", signal: AbortSignal.timeout(ASK_FOR) })).status;
    } catch {
      return 0;
    }
  }

  // Not modal: STOP stays in reach.
  async token() {
    const dialog = $("login");
    dialog.show();
    $("token").focus();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    const body = $("token").value;
    $("token").value = "";
    if (!body) return;
    try {
      const { ok, status } = await fetch("login", { method: "POST", body, signal: AbortSignal.timeout(ASK_FOR) });
      const held = status === 429 ? ", and there are many who try" : "";
      $("login-said").textContent = ok ? "" : `this token is not known${held}`;
    } catch {
      $("login-said").textContent = "the rig does not answer";
    }
  }
}
