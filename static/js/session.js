// How people get in, and who this browser is signed in as: the routes /session and /tokens.

const PATIENCE = 8_000; // ms
const NO_COOKIES = -1; // instead of an HTTP status: the browser did not keep what it was given
const GUEST = "guest-"; // what the ids of guests begin with

export class Session {
  mode = "open"; // any token does; "signed": only tokens that verify
  guests = false; // in signed mode, whether a name is enough
  user = null; // {id, name}: whom the browser's cookie stands for
  expires = null; // when the cookie counts no more, in ms since 1970; null: never, or there is none
  version = null; // the server's

  constructor({ fetch }) {
    this.fetch = fetch;
  }

  // Asks the server. Resolves to whether it answered; if not, what was known stays.
  async look() {
    try {
      this.#take(await this.#ask("GET", "/session"));
      return true;
    } catch {
      return false;
    }
  }

  // Signs this browser in, by {token} or as a guest by {name}. Rejects with `Refused`.
  async signIn(credential) {
    this.#take(await this.#ask("POST", "/session", credential));
    if ((await this.look()) && this.user === null) throw new Refused(NO_COOKIES, credential);
  }

  // Rejects with `Refused`; then the browser is still signed in.
  async signOut() {
    await this.#ask("DELETE", "/session");
    Object.assign(this, { user: null, expires: null });
  }

  // Resolves to {token, expires} for whoever is signed in. A guest whose time runs out gets more of it first.
  async token({ needed }) {
    if (this.isGuest && this.expires !== null && this.expires <= needed) await this.signIn({ name: this.user.name });
    return this.#ask("POST", "/tokens");
  }

  get isGuest() {
    return this.guests && this.user !== null && this.user.id.startsWith(GUEST);
  }

  // Whether one can go into a room without being asked for anything.
  get isEnough() {
    return this.mode === "open" || this.user !== null;
  }

  // Whether the browser's cookie says who one is. It comes first: no token of a tab's own counts beside it.
  get isCookie() {
    return this.mode === "signed" || this.user !== null;
  }

  #take({ mode, guests, user, expires, version }) {
    Object.assign(this, { mode, guests, user: user ?? null, version: version ?? null });
    this.expires = expires ? Date.parse(expires) : null;
  }

  async #ask(method, path, body) {
    const answer = await this.#send(method, path, body);
    if (!answer.ok) throw new Refused(answer.status, body);
    return answer.status === 204 ? null : answer.json();
  }

  async #send(method, path, body) {
    try {
      return await this.fetch(path, {
        method,
        headers: body ? { "Content-Type": "application/json" } : {},
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch {
      throw new Refused(0, body);
    }
  }
}

// The server did not do it. The message is a sentence for people; `field` says which of theirs it is about, if any.
export class Refused extends Error {
  constructor(status, { token, name } = {}) {
    super(sentence(status, { token, name }));
    this.status = status;
    this.field = { 401: "token", 403: "token", 422: name === undefined ? "token" : "name" }[status] ?? null;
  }
}

function sentence(status, { name }) {
  if (status === NO_COOKIES) return "This browser keeps no cookies for this page. Allow them, then try again.";
  if (status === 401) return "This token is not valid, or it has expired.";
  if (status === 403)
    return name === undefined ? "This is not allowed here." : "A name is not enough here. Use a token.";
  if (status === 422)
    return name === undefined ? "This is not a token." : "This name cannot be shown. Choose another one.";
  if (status === 429) return "Too many attempts. Wait a moment, then try again.";
  if (status === 503) return "The server cannot check this right now. Try again in a moment.";
  return "The server can’t be reached. Try again in a moment.";
}
