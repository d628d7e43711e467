// What was said and is not yet acknowledged, in the order in which it was said.
//
// An entry is queued (not on its way), sending, sent (acknowledged, its message not yet seen here) or failed. Its id
// stays the same however often it is sent, so the server can tell a repetition.

const RESENT_WITHIN = 5 * 60_000; // what is older is not sent by itself: the talk may have moved on
const ACK_WITHIN = 10_000;

// `storage` keeps one value: {load(), save(entries or null)}.
export class Outbox {
  entries = [];

  constructor({ clock, makeId, storage }) {
    this.clock = clock;
    this.makeId = makeId;
    this.storage = storage;
    this.entries = restore(storage.load());
  }

  add(text) {
    const entry = { id: this.makeId(), text, at: this.clock.now(), state: "queued", reason: null, sentAt: null };
    this.#put([...this.entries, entry]);
    return entry;
  }

  // Sends what is queued, as long as `send(entry)` takes it.
  flush(send) {
    const now = this.clock.now();
    for (const entry of this.entries) {
      if (entry.state !== "queued") continue;
      if (now - entry.at > RESENT_WITHIN) Object.assign(entry, { state: "failed", reason: "lost" });
      else if (send(entry)) Object.assign(entry, { state: "sending", sentAt: now });
      else break;
    }
    this.#put(this.entries);
  }

  acknowledge(id, offset) {
    this.#change(id, { state: "sent", offset });
  }

  // Its message is in the room: nothing is left to be done.
  settle(id) {
    if (this.find(id)) this.remove(id);
  }

  // Everything up to there has been delivered; what was acknowledged and did not come is in a gap.
  settleUpTo(offset) {
    this.#put(this.entries.filter((entry) => entry.state !== "sent" || entry.offset > offset));
  }

  fail(id, reason) {
    this.#change(id, { state: "failed", reason });
  }

  requeue(id) {
    this.#change(id, { state: "queued", reason: null });
  }

  // The user insists, so its age starts anew.
  retry(id) {
    if (this.find(id)?.state === "failed") this.#change(id, { state: "queued", reason: null, at: this.clock.now() });
  }

  remove(id) {
    this.#put(this.entries.filter((entry) => entry.id !== id));
  }

  // Nobody knows what became of that which was on its way.
  disconnected() {
    for (const entry of this.entries) if (entry.state === "sending") entry.state = "queued";
    this.#put(this.entries);
  }

  // When the oldest answer is overdue, or null if none is awaited.
  deadline() {
    const sentAt = this.entries.filter(({ state }) => state === "sending").map((entry) => entry.sentAt);
    return sentAt.length ? Math.min(...sentAt) + ACK_WITHIN : null;
  }

  get failed() {
    return this.entries.filter(({ state }) => state === "failed");
  }

  find(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  #change(id, change) {
    const entry = this.find(id);
    if (entry) Object.assign(entry, change);
    this.#put(this.entries);
  }

  #put(entries) {
    this.entries = entries;
    const unsent = entries.filter(({ state }) => state !== "sent");
    this.storage.save(unsent.length ? unsent : null);
  }
}

function restore(saved) {
  return (saved ?? []).map((entry) => (entry.state === "sending" ? { ...entry, state: "queued" } : entry));
}
