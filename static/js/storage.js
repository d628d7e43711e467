// What the browser remembers for us: values by key, in localStorage or sessionStorage.

// Either may be forbidden or full; then values last as long as the page.
export class BrowserStorage {
  #fallback = new Map();

  // `open()` returns the Storage; even to touch it may be forbidden.
  constructor(open) {
    this.open = open;
  }

  get(key) {
    try {
      return JSON.parse(this.open().getItem(key));
    } catch {
      return this.#fallback.get(key) ?? null;
    }
  }

  // null takes the value away.
  set(key, value) {
    try {
      if (value === null) this.open().removeItem(key);
      else this.open().setItem(key, JSON.stringify(value));
    } catch {
      this.#fallback.set(key, value);
    }
  }
}
