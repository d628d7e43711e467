// Of all tabs that are in a room, the one whose turn it is to notify.

export class Turn {
  isOurs = false;
  #leave = null; // gives the turn back, or no longer waits for it

  // `locks` are the browser's; without them every tab takes itself for the one.
  constructor(locks) {
    this.locks = locks;
  }

  enter(room) {
    this.leave();
    this.isOurs = this.locks === undefined;
    const waiting = new AbortController();
    let done;
    const held = new Promise((resolve) => (done = resolve));
    this.#leave = () => {
      waiting.abort();
      done();
    };
    const take = () => {
      this.isOurs = !waiting.signal.aborted;
      return held;
    };
    // Held until we leave, or the tab is closed; the next one in line gets it then.
    this.locks?.request(`chat.notify:${room}`, { signal: waiting.signal }, take).catch(() => {});
  }

  leave() {
    this.#leave?.();
    this.#leave = null;
    this.isOurs = false;
  }
}
