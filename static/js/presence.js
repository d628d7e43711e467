// Who is here, and who is typing; people, not sockets.

const TYPING_LASTS = 6_000; // a client that types says so every 3 seconds

const byName = new Intl.Collator(undefined, { numeric: true });

export class Presence {
  known = false; // whether the server tells
  members = new Map(); // id → {id, name}; empty in rooms so large that only the count is told
  count = 0;
  #typing = new Map(); // id → {user, until}
  #sorted = null; // members by name, until somebody comes or goes

  welcome({ members, count }) {
    this.known = members !== undefined || count !== undefined;
    this.members = new Map((members ?? []).map((user) => [user.id, user]));
    this.count = count ?? this.members.size;
    this.#sorted = null;
    this.#typing.clear();
  }

  change({ joined = [], left = [], count }) {
    for (const user of joined) this.members.set(user.id, user);
    for (const { id } of left) {
      this.members.delete(id);
      this.#typing.delete(id);
    }
    this.known = true;
    this.count = count ?? this.members.size;
    this.#sorted = null;
  }

  typed(user, now) {
    this.#typing.set(user.id, { user, until: now + TYPING_LASTS });
  }

  // Their message is here, so they are done.
  spoke(user) {
    this.#typing.delete(user.id);
  }

  typing(now) {
    return [...this.#typing.values()].filter(({ until }) => until > now).map(({ user }) => user);
  }

  // When the next one counts as no longer typing, or null.
  nextChange(now) {
    const ends = [...this.#typing.values()].map(({ until }) => until).filter((until) => until > now);
    return ends.length ? Math.min(...ends) : null;
  }

  // Everybody by name, `me` first.
  list(me) {
    this.#sorted ??= [...this.members.values()].sort(
      (a, b) => byName.compare(a.name, b.name) || (a.id < b.id ? -1 : 1),
    );
    const others = this.#sorted.filter(({ id }) => id !== me?.id);
    return me && this.members.has(me.id) ? [this.members.get(me.id), ...others] : others;
  }
}
