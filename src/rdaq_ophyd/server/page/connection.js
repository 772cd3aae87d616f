// One WebSocket to the rig: calls, streams of answers, and coming back by itself after it broke.
// Nothing that was asked is asked again by itself: what was under way fails, and whoever asked decides.

const FIRST_WAIT = 250; // ms until the first attempt to come back; then twice as long each time
const LONGEST_WAIT = 4000;
const PING_EVERY = 2000;
const SILENT_FOR = 7000; // ms without a sign of life: the connection is lost, whatever the browser believes

// What the rig refused, or that the connection broke; `hint` says the next step, `about` which parameter of a plan is wrong.
export class CallError extends Error {
  constructor({ kind = "", what = "", hint = "", about = "" }) {
    super(hint ? `${what} → ${hint}` : what);
    Object.assign(this, { kind, what, hint, about });
  }
}

const lost = () => new CallError({ kind: "ServerGone", what: "the connection broke", hint: "what was asked for last may have been done" });

export class Connection extends EventTarget {
  // Events: "open", "lost", "pong". `place` is the page's own address.
  constructor(place) {
    super();
    this.url = new URL("ws", place);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.calls = new Map();
    this.number = 0;
    this.wait = FIRST_WAIT;
    this.isOpen = false;
    this.offset = 0; // the rig's clock minus this one, s
    this.connect();
  }

  connect() {
    const socket = (this.socket = new WebSocket(this.url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.isOpen = true;
      this.wait = FIRST_WAIT;
      this.heard = performance.now();
      this.ping();
      this.beat = setInterval(() => this.keepAlive(), PING_EVERY);
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = (message) => this.take(message.data);
    socket.onclose = () => {
      if (this.socket === socket) this.fail();
    };
  }

  keepAlive() {
    if (performance.now() - this.heard > SILENT_FOR) {
      const socket = this.socket;
      this.fail();
      socket.close();
    } else {
      this.ping();
    }
  }

  ping() {
    this.say({ ping: performance.now() });
  }

  fail() {
    clearInterval(this.beat);
    this.socket = null;
    const wasOpen = this.isOpen;
    this.isOpen = false;
    for (const call of this.calls.values()) call.reject(lost());
    this.calls.clear();
    if (wasOpen) this.dispatchEvent(new Event("lost"));
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }

  say(what) {
    // One that is closing takes nothing: its end fails what was asked.
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(what));
  }

  take(data) {
    this.heard = performance.now();
    if (typeof data !== "string") {
      for (const call of this.calls.values()) if (call.onBinary) call.onBinary(data);
      return;
    }
    const said = JSON.parse(data);
    if ("pong" in said) {
      const now = performance.now();
      this.offset = said.time - (Date.now() - (now - said.pong) / 2) / 1000;
      Object.assign(this, { who: said.who, role: said.role, roundTrip: now - said.pong });
      this.dispatchEvent(new Event("pong"));
      return;
    }
    const call = this.calls.get(said.id);
    if (!call) {
      if (said.error && said.id == null) throw new CallError(said.error);
      return;
    }
    if (said.item) call.onItem(said.item);
    else if (said.begun) call.onBegun(said.told ?? {});
    else {
      this.calls.delete(said.id);
      if (said.error) call.reject(new CallError(said.error));
      else call.resolve(call.last);
    }
  }

  // Begin a call. `done` resolves with the last answer; `more`, `grant` and `end` are for streams. With `credits` no more
  // answers come than those, until `grant` adds some.
  begin(name, request = {}, { onItem = () => {}, onBinary = null, onBegun = () => {}, credits } = {}) {
    const id = ++this.number;
    const call = { onBinary, onBegun, last: null };
    call.onItem = (item) => {
      call.last = item;
      onItem(item);
    };
    const done = new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
    if (!this.isOpen) {
      call.reject(new CallError({ kind: "ServerGone", what: `${name} was not sent: there is no connection` }));
    } else {
      this.calls.set(id, call);
      this.say({ id, call: name, request, credits });
    }
    const further = (what) => this.calls.has(id) && this.say({ id, ...what });
    return { done, more: (request) => further({ more: request }), grant: (credits) => further({ credits }), end: () => further({ end: true }) };
  }

  // One answer.
  ask(name, request = {}) {
    return this.begin(name, request).done;
  }

  // A stream for as long as the page is open: begun anew when the connection is back, and a while after the rig ended it.
  // `request` may be a function: what is asked for then.
  follow(name, request, handlers) {
    let again;
    const begin = () => {
      clearTimeout(again);
      handlers.onGap?.();
      this.begin(name, typeof request === "function" ? request() : request, handlers).done.catch((error) => {
        if (error.kind === "ServerGone") return;
        handlers.onError(error);
        again = setTimeout(() => this.isOpen && begin(), LONGEST_WAIT);
      });
    };
    this.addEventListener("open", begin);
    if (this.isOpen) begin();
  }
}
