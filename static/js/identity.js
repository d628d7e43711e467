// Who this tab is: a name, and a credential that never leaves the tab but for the server.

const KEY = "chat.identity"; // in sessionStorage: two tabs are two people, a reloaded tab is the same one

export function randomId() {
  // Only secure contexts have randomUUID; http://192.168.x.x is none.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Identity {
  constructor(storage) {
    this.storage = storage;
    const kept = JSON.parse(storage.getItem(KEY) ?? "{}");
    this.name = kept.name ?? "";
    this.token = kept.token ?? "";
    this.made = kept.made ?? randomId(); // what stands in for a token as long as none is entered
    this.room = kept.room ?? null; // where this tab is; a reload leads back there
  }

  get credential() {
    return this.token || this.made;
  }

  update(change) {
    Object.assign(this, change);
    const { name, token, made, room } = this;
    this.storage.setItem(KEY, JSON.stringify({ name, token, made, room }));
  }
}
