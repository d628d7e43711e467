// What is unread in the rooms where I am not: how far each has got, against how far I have read.

export class OtherRooms {
  unread = new Map(); // room → number of messages
  #looking = false;
  #next = null; // the rooms to look into once this round is over, if somebody asked meanwhile
  #unable = false; // the server has no such route; it is not asked again

  // `newest(room)` resolves to {epoch, offset}, or to null if the server does not tell.
  constructor({ newest, changed }) {
    this.newest = newest;
    this.changed = changed;
  }

  // `rooms`: [{room, read: {epoch, offset}}]. One after the other, and one round at a time.
  async look(rooms) {
    if (this.#looking) this.#next = rooms;
    if (this.#looking || this.#unable) return;
    this.#looking = true;
    for (const { room, read } of rooms) {
      const newest = await this.newest(room).catch(() => undefined);
      if (newest) this.unread.set(room, missed(read, newest));
      this.#unable ||= newest === null;
      if (this.#unable) break;
    }
    this.#looking = false;
    this.changed();
    this.#goOn();
  }

  entered(room) {
    this.unread.delete(room);
  }

  #goOn() {
    const next = this.#next;
    this.#next = null;
    if (next !== null) this.look(next);
  }
}

// Offsets of another epoch say nothing about this one: all of it is new.
function missed(read, newest) {
  return read.epoch === newest.epoch ? Math.max(0, newest.offset - read.offset) : newest.offset;
}
