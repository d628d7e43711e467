// The rooms where I have been, and how far I have read in each; all tabs of the browser share them.

const KEY = "chat.rooms";
const KEPT = 20;
const READERS = 4; // in one room; tabs of one browser may be several people

export class Rooms {
  #rooms = []; // [{room, at, reads: {user: {epoch, offset}}}], the latest visited first

  constructor(storage) {
    this.storage = storage;
    this.refresh();
  }

  // Another tab may have changed them.
  refresh() {
    this.#rooms = this.storage.get(KEY) ?? [];
  }

  // By name: a list that moves while one aims at it is of no use.
  get names() {
    return this.#rooms.map(({ room }) => room).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  }

  visit(room, now) {
    const known = this.#rooms.find((entry) => entry.room === room) ?? { room, reads: {} };
    const others = this.#rooms.filter((entry) => entry !== known);
    this.#save([{ ...known, at: now }, ...others]);
  }

  forget(room) {
    this.#save(this.#rooms.filter((entry) => entry.room !== room));
  }

  // {epoch, offset} of the newest message that was seen, or null.
  lastRead(room, user) {
    return this.#rooms.find((entry) => entry.room === room)?.reads[user] ?? null;
  }

  // Never goes back within an epoch: another tab may have read further.
  markRead(room, user, position) {
    const before = this.lastRead(room, user);
    if (before?.epoch === position.epoch && before.offset >= position.offset) return;
    this.#save(
      this.#rooms.map((entry) =>
        entry.room === room ? { ...entry, reads: withRead(entry.reads, user, position) } : entry,
      ),
    );
  }

  #save(rooms) {
    this.#rooms = rooms.slice(0, KEPT);
    this.storage.set(KEY, this.#rooms);
  }
}

function withRead(reads, user, position) {
  const { [user]: _, ...others } = reads;
  return Object.fromEntries([...Object.entries(others), [user, position]].slice(-READERS));
}
