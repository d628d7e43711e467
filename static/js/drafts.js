// What was begun and not sent, per person and room.

export class Drafts {
  #saved = null; // what this tab saved last: another tab's draft is not ours to delete

  // `storage()` is asked each time: a made-up person's drafts end with the tab, like the person.
  constructor(storage) {
    this.storage = storage;
  }

  load(user, room) {
    return this.storage().get(key(user, room)) ?? "";
  }

  save(user, room, text) {
    this.#saved = text || null;
    this.storage().set(key(user, room), this.#saved);
  }

  sent(user, room) {
    if (this.#saved !== null && this.load(user, room) === this.#saved) this.storage().set(key(user, room), null);
    this.#saved = null;
  }
}

const key = (user, room) => `chat.draft:${user}:${room}`;
