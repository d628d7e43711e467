// Tells a screen reader what happens, without repeating, interrupting or flooding.

const STAYS = 5_000; // a line is taken away after it was read; one that is replaced may never be
const BURST = { lines: 3, within: 2_000 };
const LONGEST = 200; // characters

// `status` and `alert` are live regions; `line(text)` makes the node for a line.
export class Announcer {
  #recent = []; // when the last lines were announced
  #held = 0; // messages that came too fast to be read one by one
  #timer = null;

  constructor({ status, alert, line, clock }) {
    Object.assign(this, { status, alert, line, clock });
  }

  message({ user, text }) {
    const now = this.clock.now();
    this.#recent = this.#recent.filter((at) => now - at < BURST.within);
    if (this.#recent.length < BURST.lines) {
      this.#recent.push(now);
      this.say(`${user.name}: ${shortened(text ?? "sent data")}`);
      return;
    }
    this.#held += 1;
    this.#timer ??= this.clock.setTimeout(() => this.#release(), BURST.within);
  }

  say(text) {
    this.#put(this.status, text);
  }

  alarm(text) {
    this.#put(this.alert, text);
  }

  #release() {
    this.say(this.#held === 1 ? "1 new message" : `${this.#held} new messages`);
    this.#held = 0;
    this.#timer = null;
  }

  #put(region, text) {
    const line = this.line(text);
    region.append(line);
    this.clock.setTimeout(() => line.remove(), STAYS);
  }
}

const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
