// So many things at a time; the others wait for their turn.

export class Places {
  constructor(most) {
    this.free = most;
    this.waiting = [];
  }

  // Does it when there is a place for it, and gives what it gives.
  async use(what) {
    if (this.free > 0) this.free--;
    else await new Promise((turn) => this.waiting.push(turn));
    try {
      return await what();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}
