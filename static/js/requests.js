// Commands that get one reply each, found again by its id.

const REPLY_WITHIN = 10_000;

export class Requests {
  #open = new Map(); // id → {reply, resolve, reject, timer}

  // `send(command)` returns whether it went out.
  constructor({ send, clock, makeId }) {
    this.send = send;
    this.clock = clock;
    this.makeId = makeId;
  }

  // Returns a promise of the reply, an event of that type; it is rejected if there is none in time, or if it is an error.
  ask(command, { reply = command.type } = {}) {
    const id = this.makeId();
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimeout(() => this.#take(id)?.reject(new Error("no reply in time")), REPLY_WITHIN);
      this.#open.set(id, { reply, resolve, reject, timer });
      if (!this.send({ ...command, id })) this.#take(id).reject(new Error("not connected"));
    });
  }

  // Returns whether the event was a reply that somebody waits for.
  settle(event) {
    const waiting = this.#open.get(event.id);
    if (!waiting || (event.type !== waiting.reply && event.type !== "error")) return false;
    this.#take(event.id);
    if (event.type === "error") waiting.reject(new Error(event.message));
    else waiting.resolve(event);
    return true;
  }

  // The connection is gone, and with it every reply.
  abort() {
    for (const id of [...this.#open.keys()]) this.#take(id).reject(new Error("connection lost"));
  }

  #take(id) {
    const waiting = this.#open.get(id);
    if (waiting) this.clock.clearTimeout(waiting.timer);
    this.#open.delete(id);
    return waiting;
  }
}
