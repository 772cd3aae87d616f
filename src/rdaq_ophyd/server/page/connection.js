// One WebSocket to the rig: calls, streams of answers, and coming back by itself after it broke.
// Nothing that was asked is asked again by itself: what was under way fails, and whoever asked decides.

const FIRST_WAIT = 250; // ms until the first attempt to come back; then twice as long each time
const LONGEST_WAIT = 4000;
const PING_EVERY = 2000;
const PATIENCE = 4000; // ms for a connection to open; then twice as long each time: a path that swallows what it gets must not hold it up
const LONGEST_PATIENCE = 16000;
const HURRIED = 1000; // ms after which one that does not open is given up where somebody is in a hurry
const SILENT_FOR = 7000; // ms without a sign of life after a ping: the connection is lost, whatever the browser believes

// What the rig refused, or that the connection broke; `hint` says the next step, `about` which parameter it is about.
export class CallError extends Error {
  constructor({ kind = "", what = "", hint = "", about = "" }) {
    super(hint ? `${what} → ${hint}` : what);
    Object.assign(this, { kind, what, hint, about });
  }
}

const lost = () => new CallError({ kind: "ServerGone", what: "the connection broke", hint: "what was asked for last may have been done" });

export class Connection extends EventTarget {
  // Events: "open", "lost", "pong", and "refused" where none opened. `place` is the page's own address.
  constructor(place) {
    super();
    this.url = new URL("ws", place);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.calls = new Map();
    this.number = 0;
    this.wait = FIRST_WAIT;
    this.patience = PATIENCE;
    this.isOpen = false;
    this.ponged = 0; // when the newest ping was sent that was answered
    this.pinged = 0; // when the first ping was sent behind which nothing was heard; 0 without such
    this.offset = 0; // the rig's clock minus this one, s
    this.connect();
  }

  connect() {
    clearTimeout(this.again);
    const socket = (this.socket = new WebSocket(this.url));
    this.began = performance.now();
    this.giveUp = setTimeout(() => this.abandon(), this.patience);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (this.socket !== socket) return socket.close();
      clearTimeout(this.giveUp);
      this.isOpen = true;
      this.wait = FIRST_WAIT;
      this.patience = PATIENCE;
      this.heard = performance.now();
      this.pinged = 0;
      this.ping();
      this.beat = setInterval(() => this.keepAlive(), PING_EVERY);
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = (message) => this.socket === socket && this.take(message.data);
    socket.onclose = () => {
      if (this.socket === socket) this.fail();
    };
  }

  // Somebody needs it now: not after the wait, and not when an attempt that hangs is given up.
  hurry() {
    if (this.isOpen) return;
    if (this.socket && performance.now() - this.began > HURRIED) this.abandon();
    if (this.socket) return;
    this.wait = FIRST_WAIT;
    this.connect();
  }

  abandon() {
    const socket = this.socket;
    if (!this.isOpen) this.patience = Math.min(2 * this.patience, LONGEST_PATIENCE);
    this.fail();
    socket.close();
  }

  // A browser lets a hidden page do this once a minute only: silence counts from when something was asked.
  keepAlive() {
    if (this.pinged && performance.now() - this.pinged > SILENT_FOR) this.abandon();
    else this.ping();
  }

  ping() {
    const now = performance.now();
    this.pinged ||= now;
    this.say({ ping: now });
  }

  fail() {
    clearInterval(this.beat);
    clearTimeout(this.giveUp);
    this.socket = null;
    const wasOpen = this.isOpen;
    this.isOpen = false;
    for (const call of this.calls.values()) call.reject(lost());
    this.calls.clear();
    this.again = setTimeout(() => this.connect(), this.wait);
    this.dispatchEvent(new Event(wasOpen ? "lost" : "refused"));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }

  say(what) {
    // One that is closing takes nothing: its end fails what was asked.
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(what));
  }

  take(data) {
    this.heard = performance.now();
    this.pinged = 0;
    if (typeof data !== "string") {
      for (const call of this.calls.values()) if (call.onBinary) call.onBinary(data);
      return;
    }
    const said = JSON.parse(data);
    if ("pong" in said) {
      const now = performance.now();
      this.ponged = said.pong;
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

  // One answer; where `limit` is given within so many ms, and what comes later is not waited for.
  async ask(name, request = {}, limit = 0) {
    const call = this.begin(name, request);
    if (!limit) return call.done;
    let over;
    const late = new Promise((_, reject) => {
      over = setTimeout(() => {
        call.end();
        reject(new CallError({ kind: "NoAnswer", what: `no answer in ${limit / 1000} s` }));
      }, limit);
    });
    call.done.catch(() => {}); // the end of one that came too late is no news
    return Promise.race([call.done, late]).finally(() => clearTimeout(over));
  }

  // A stream for as long as the page is open: begun anew when the connection is back, and a while after the rig ended it.
  // `request` may be a function: what is asked for then.
  follow(name, request, handlers) {
    let again;
    const later = () => {
      clearTimeout(again);
      again = setTimeout(() => this.isOpen && begin(), LONGEST_WAIT);
    };
    const begin = () => {
      clearTimeout(again);
      handlers.onGap?.();
      this.begin(name, typeof request === "function" ? request() : request, handlers).done.then(later, (error) => {
        if (error.kind === "ServerGone") return;
        handlers.onError(error);
        later();
      });
    };
    this.addEventListener("open", begin);
    if (this.isOpen) begin();
  }
}
