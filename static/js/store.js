// What happened in a room, in the room's order: messages by offset, and between them gaps and notices.
//
// It is a window on the room. As a rule its end is the newest message. When somebody reads far up and the window is
// full, it is *detached*: what arrives then waits in a short tail, until paging down reaches it.

const KEPT = 500; // items; more would make each new line slower to draw than it is worth
const TAIL = 50;

export class Store {
  items = [];
  epoch = null; // offsets of different epochs cannot be compared: the log was emptied in between
  offset = 0; // of the newest message that was seen; a resume asks for what came after
  farEnd = "oldest"; // or "newest": where the window may be cut because nobody looks there
  detached = false;
  exhausted = false; // the server has nothing older
  #tail = [];
  #keys = new Set(); // of the messages in items
  #separators = 0; // gaps and notices so far

  get position() {
    return this.epoch === null ? null : { epoch: this.epoch, offset: this.offset };
  }

  // The offset of the oldest message, or null if nothing older can be asked for.
  get oldest() {
    const first = this.items.find(({ kind }) => kind !== "notice");
    const hasOlder = !this.exhausted && first?.kind === "message" && first.epoch === this.epoch && first.offset > 1;
    return hasOlder ? first.offset : null;
  }

  get newest() {
    return this.items.findLast(({ kind }) => kind !== "notice")?.offset ?? 0;
  }

  // Starts where the server says we are. What is already here stays: it was said.
  welcome({ epoch }) {
    if (epoch === this.epoch) return;
    this.#letGo();
    this.epoch = epoch;
    this.offset = 0;
  }

  // Returns the item, or null if it is already known.
  receive(message) {
    if (message.offset <= this.offset) return null;
    this.offset = message.offset;
    return this.#arrive(this.#item(message));
  }

  // What cannot be delivered is said; go on from `before - 1`, even if that is behind what was seen: a store that lost
  // its newest messages gives their offsets to others.
  gap({ after, before, reason, epoch }) {
    if (reason !== "trimmed") this.#letGo();
    this.#separators += 1;
    this.epoch = epoch;
    this.offset = before - 1;
    const count = Math.max(0, before - after - 1);
    this.#arrive({ kind: "gap", key: `gap ${this.#separators}`, epoch, offset: before - 1, reason, count });
  }

  // People came or went.
  note({ joined, left }) {
    this.#separators += 1;
    if (!this.detached) this.#append([{ kind: "notice", key: `notice ${this.#separators}`, joined, left }]);
  }

  // A page of older messages.
  prepend(messages, more) {
    const first = this.oldest ?? Infinity;
    const older = messages.filter(({ offset }) => offset < first).map((message) => this.#item(message));
    this.items = [...older, ...this.items];
    this.exhausted = !more;
    this.#trim("newest");
  }

  // A page of newer messages, below a detached window.
  extend(messages) {
    const newer = messages.filter(({ offset }) => offset > this.newest).map((message) => this.#item(message));
    this.#append(newer, "oldest");
    this.#attach();
  }

  // The newest page takes the place of the window.
  restart(messages, more) {
    this.#keys.clear();
    this.items = messages.map((message) => this.#item(message));
    this.exhausted = !more;
    this.#attach();
  }

  has(key) {
    return this.#keys.has(key);
  }

  #item(message) {
    const key = keyOf(message.user, message.id);
    // The server forgets an id after a while, so it can come a second time.
    const unique = this.#keys.has(key) ? `${key} ${message.offset}` : key;
    this.#keys.add(unique);
    return { kind: "message", key: unique, epoch: this.epoch, ...message };
  }

  #arrive(item) {
    if (this.detached) this.#tail = [...this.#tail, item].slice(-TAIL);
    else this.#append([item]);
    return item;
  }

  #append(items, end = this.farEnd) {
    this.items = [...this.items, ...items];
    this.#trim(end);
  }

  #trim(end) {
    const surplus = this.items.length - KEPT;
    if (surplus <= 0) return;
    const cut = end === "oldest" ? this.items.splice(0, surplus) : this.items.splice(KEPT);
    for (const { key } of cut) this.#keys.delete(key);
    if (end === "oldest") {
      this.exhausted = false;
    } else if (!this.detached) {
      this.detached = true;
      this.#tail = cut.slice(-TAIL);
    }
  }

  // Paging down from a detached window will not reach what comes now: its offsets begin anew.
  #letGo() {
    if (!this.detached) return;
    this.items = [];
    this.#tail = [];
    this.#keys.clear();
    this.detached = false;
  }

  // If the window reaches the tail, or the newest message, it is whole again.
  #attach() {
    const newest = this.newest;
    const missing = this.#tail.filter(({ offset }) => offset > newest);
    const reaches = missing.length ? beginning(missing[0]) <= newest + 1 : newest >= this.offset;
    this.detached = !reaches;
    if (!reaches) return;
    this.#tail = [];
    for (const { key } of missing) this.#keys.add(key);
    this.#append(missing, "oldest");
  }
}

// One message, on every screen and in every state; nobody but its sender can make another one with it.
export const keyOf = (user, id) => `${user.id}/${id}`;

const beginning = ({ kind, offset, count }) => (kind === "gap" ? offset + 1 - count : offset);
