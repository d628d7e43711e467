// Who this tab is, where the browser is not signed in: a name, and a credential that goes nowhere but to the server.

const KEY = "chat.identity"; // kept per tab: two tabs are two people, a reloaded tab is the same one

export function randomId() {
  // Only secure contexts have randomUUID; http://192.168.x.x is none.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Identity {
  constructor(storage) {
    this.storage = storage;
    const kept = storage.get(KEY) ?? {};
    this.name = kept.name ?? "";
    this.token = kept.token ?? "";
    this.made = kept.made ?? randomId(); // what stands in for a token as long as none is entered
    this.user = kept.user ?? null; // our id, as the server last told it
    this.room = kept.room ?? null; // where this tab is; a reload leads back there
  }

  update(change) {
    Object.assign(this, change);
    const { name, token, made, user, room } = this;
    this.storage.set(KEY, { name, token, made, user, room });
  }
}
