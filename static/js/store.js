// What happened in a room, in the room's order: messages by offset, and between them gaps and notices.

const KEPT = 500; // items; more would make each new line slower to draw than it is worth

export class Store {
  items = [];
  epoch = null; // offsets of different epochs cannot be compared: the log was emptied in between
  offset = 0; // of the newest message that was seen; a resume asks for what came after
  #ids = new Set(); // of the messages in items

  get position() {
    return this.epoch === null ? null : { epoch: this.epoch, offset: this.offset };
  }

  // Starts where the server says we are. What is already here stays: it was said.
  welcome({ epoch }) {
    if (epoch === this.epoch) return;
    this.epoch = epoch;
    this.offset = 0;
  }

  // Returns whether the message is new here.
  receive(message) {
    if (message.offset <= this.offset) return false;
    this.offset = message.offset;
    this.#append({ kind: "message", epoch: this.epoch, ...message });
    return true;
  }

  gap({ after, before, epoch }) {
    const known = epoch === this.epoch && this.offset > after ? this.offset : after;
    if (epoch === this.epoch && before - 1 <= known) return;
    this.epoch = epoch;
    this.offset = before - 1;
    const count = before - known - 1;
    this.#append({ kind: "gap", epoch, offset: before - 1, count });
  }

  has(user, id) {
    return this.#ids.has(`${user}/${id}`);
  }

  #append(item) {
    this.items.push(item);
    if (item.kind === "message") this.#ids.add(`${item.user.id}/${item.id}`);
    if (this.items.length > KEPT) this.#forget(this.items.shift());
  }

  #forget(item) {
    if (item.kind === "message") this.#ids.delete(`${item.user.id}/${item.id}`);
  }
}
