// Asks for more time before a connection's credential expires.

const AHEAD = 60_000; // ms before the end, or a quarter of what is left if that is less
const AGAIN = 20_000; // ms after an attempt that brought nothing: somebody may sign this browser in meanwhile
const LONGEST = 24 * 3_600_000; // a browser's timers do not go further than 24 days

export class Renewal {
  #ends = null; // when the credential counts no more, in ms since 1970; null: never
  #timer = null;

  // `renew()` resolves to the new end, in ms since 1970; it may reject, or bring no more time.
  constructor({ renew, clock }) {
    Object.assign(this, { renew, clock });
  }

  follow(ends) {
    this.#ends = ends;
    this.clock.clearTimeout(this.#timer);
    if (ends === null) return;
    const left = ends - this.clock.now();
    const wait = left - Math.min(AHEAD, left / 4);
    if (wait > LONGEST) this.#after(LONGEST, () => this.follow(ends));
    else this.#after(wait, () => this.#due());
  }

  stop() {
    this.follow(null);
  }

  async #due() {
    const ends = this.#ends;
    const later = await this.renew().catch(() => null);
    if (this.#ends !== ends) return; // somebody else knows better by now
    if (later > ends) this.follow(later);
    else if (this.clock.now() < ends) this.#after(AGAIN, () => this.#due());
  }

  #after(ms, action) {
    this.#timer = this.clock.setTimeout(action, ms);
  }
}
