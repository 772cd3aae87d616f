// One press of STOP. It goes over the WebSocket at once; where that is not there, or nothing shows that it arrived, also by a
// plain POST, and over the WebSocket again as soon as there is one: to stop twice does no harm. After a few seconds nobody
// expects it any more, and it is not sent again.

export const WORTH = 5000; // ms from the press in which it is sent
const HANGS = 1000; // ms without a sign that it arrived
const DEAD = 2500; // ms in which nothing at all was heard: a fresh connection may take another way
const POST_FOR = 2000; // ms for the head of the answer, which says that the halts are written
const POST_AGAIN = 400;
const LOOK = 200;
const REASON = "STOP in the browser";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// `connection` is that of STOP, or null before there is one. `onWait(press)` is called while nobody has answered;
// `report` resolves with what each device did, or rejects with why it was refused, however late that comes.
export class Press {
  constructor(connection, onWait) {
    Object.assign(this, { connection, onWait, began: performance.now(), when: new Date() });
    Object.assign(this, { sent: false, arrived: false, done: false, awaited: 0, why: "there is no connection" });
    this.report = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.report.catch(() => {}).finally(() => (this.done = true));
    this.again = () => this.bySocket();
    connection?.addEventListener("open", this.again);
    connection?.hurry();
    if (connection?.isOpen) this.bySocket();
    else this.byPost();
    this.watch();
  }

  get age() {
    return performance.now() - this.began;
  }

  get isOver() {
    return this.done || this.age >= WORTH;
  }

  bySocket() {
    if (this.isOver) return;
    this.sent = true;
    this.awaited++;
    const at = performance.now();
    this.connection.ask("StopAll", { reason: REASON }).then(
      (report) => this.resolve(report),
      (error) => {
        if (error.kind !== "ServerGone") return this.reject(error);
        this.why = error.message;
        this.broke();
        this.byPost();
      },
    );
    // The rig takes one message after another: the answer to a ping behind it says that the stop is there.
    this.connection.ping();
    const heard = () => {
      if (this.connection.ponged < at) return;
      this.arrived = true;
      this.connection.removeEventListener("pong", heard);
    };
    this.connection.addEventListener("pong", heard);
  }

  // Again and again until one arrives. Each attempt has its own time: a connection that the browser kept may be dead.
  async byPost() {
    if (this.posting) return;
    this.posting = true;
    while (!this.isOver && !this.arrived) {
      const ending = new AbortController();
      const bound = setTimeout(() => ending.abort(), POST_FOR);
      try {
        const reply = await fetch("stop", { method: "POST", body: REASON, signal: ending.signal, cache: "no-store" });
        clearTimeout(bound);
        if (reply.ok) await this.told(reply);
        else if ([401, 429].includes(reply.status)) this.why = "this rig asks for your token";
        else this.why = `the rig says ${reply.status}`;
      } catch (error) {
        if (error.name === "AbortError") Object.assign(this, { sent: true, why: "nothing answers" });
      } finally {
        clearTimeout(bound);
      }
      if (!this.isOver && !this.arrived) await pause(POST_AGAIN);
    }
    this.posting = false;
  }

  async told(reply) {
    Object.assign(this, { sent: true, arrived: true });
    this.awaited++;
    let answer;
    try {
      answer = await reply.json();
    } catch {
      return this.broke();
    }
    if (answer.error) this.reject(new Error([answer.error.what, answer.error.hint].filter(Boolean).join(" → ")));
    else this.resolve(answer);
  }

  // Nobody answers any more, to this attempt.
  broke() {
    this.awaited--;
    if (this.isOver && this.arrived && !this.awaited) this.reject(new Error("it arrived; then the connection broke"));
  }

  async watch() {
    while (!this.isOver) {
      await pause(LOOK);
      if (this.age > HANGS && !this.arrived && !this.done) {
        this.byPost();
        if (this.connection?.isOpen && performance.now() - Math.max(this.connection.heard, this.began) > DEAD) this.connection.abandon();
        this.connection?.hurry();
      }
      if (!this.done) this.onWait(this);
    }
    this.connection?.removeEventListener("open", this.again);
    if (this.arrived && !this.awaited) this.reject(new Error("it arrived; then the connection broke"));
  }
}
