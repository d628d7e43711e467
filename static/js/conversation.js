// One room as one tab lives it: what is said goes composer → outbox → socket, what is heard socket → store → views.

import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { ErrorCode, history, offered, publish, refresh, roomAddress, typing } from "./protocol.js";
import { Requests } from "./requests.js";
import { RoomSocket } from "./socket.js";
import { Store, keyOf } from "./store.js";
import { Unread } from "./unread.js";

const PAGE = 50;
const TYPING_INTERVAL = 3_000;
const TYPING_ANEW = 1_000; // after a message; the server drops what comes sooner

// The listener hears `changed()` when anything that can be seen is different, `welcomed()`, `signedOut()` when the
// server takes the credential no longer, `unreachable()` when attempts fail and none has ever led in, `tooFast()` when
// the server holds us back, `arrived(message, {mine, replayed})` for each message that was not here before, and
// `caughtUp(missed)` with the number that a reconnect brought.
export class Conversation {
  me = null; // {id, name}, as the server knows us
  connection = null; // worker-number; unique
  limits = { text_length: Infinity }; // in characters; the server says it
  expires = null; // when the credential of this connection does, in ms since 1970; null: never
  blocked = false; // the server answers, but not to WebSockets
  turnedAway = false; // the server does not take who we are; somebody has to sign in
  degraded = false; // the broker is away: others may not hear us, nor we them
  heldUntil = null; // the server asked us to send nothing until then, because we were too fast
  pages = { older: "idle", newer: "idle" }; // idle, loading or failed
  reconnects = 0;
  recovered = 0; // messages that reconnects brought
  #missed = 0; // of the running catch-up
  #target = 0; // the offset that ends the replay
  #typedAt = -Infinity; // when that was last told
  #typingAgain = -Infinity; // when it may be told again
  #lastRead; // {epoch, offset} of an earlier visit, or null
  #timers = {};

  constructor({ room, credentials, base, listener, lastRead, WebSocket, clock, random, makeId, storage }) {
    this.room = room;
    this.listener = listener;
    this.clock = clock;
    this.store = new Store();
    this.outbox = new Outbox({ clock, makeId, storage });
    this.presence = new Presence();
    this.unread = new Unread();
    this.#lastRead = lastRead;
    this.socket = new RoomSocket({
      address: () => roomAddress(base, { room, ...credentials(), since: this.store.position }),
      protocols: () => offered(credentials().token),
      listener: { changed: () => this.#stateChanged(), received: (event) => this.#received(event) },
      WebSocket,
      clock,
      random,
    });
    this.requests = new Requests({ send: (command) => this.socket.send(command), clock, makeId });
  }

  open() {
    this.turnedAway = false;
    this.socket.open();
  }

  leave() {
    for (const timer of Object.values(this.#timers)) this.clock.clearTimeout(timer);
    this.requests.abort();
    this.socket.close();
  }

  // --- what I do ---

  say(text) {
    this.outbox.add(text);
    this.unread.dismiss();
    this.#typingAgain = this.#typedAt + TYPING_ANEW;
    if (this.store.detached) this.showNewest();
    this.#flush();
  }

  retry(id) {
    this.outbox.retry(id);
    this.#flush();
  }

  retryAll() {
    for (const { id } of this.outbox.failed) this.outbox.retry(id);
    this.#flush();
  }

  discard(id) {
    this.outbox.remove(id);
    this.listener.changed();
  }

  discardAll() {
    for (const { id } of this.outbox.failed) this.outbox.remove(id);
    this.listener.changed();
  }

  type() {
    const now = this.clock.now();
    if (now < this.#typingAgain || !this.socket.send(typing())) return;
    this.#typedAt = now;
    this.#typingAgain = now + TYPING_INTERVAL;
  }

  // Shows the server a new token before the old one expires. Resolves to the new end, in ms since 1970, or null.
  async refresh(token) {
    const { expires } = await this.requests.ask(refresh(token), { reply: "ack" });
    this.expires = moment(expires);
    return this.expires;
  }

  // Where the reader looks: whether at this tab, at the newest message, and which end of the window is out of sight.
  look({ focused, atBottom, farEnd }) {
    this.store.farEnd = farEnd;
    this.unread.look({ focused, atBottom: atBottom && !this.store.detached });
  }

  showOlder() {
    const before = this.store.oldest;
    if (before !== null) this.#page("older", { before }, ({ messages, more }) => this.store.prepend(messages, more));
  }

  showNewer() {
    if (!this.store.detached) return;
    this.#page("newer", { after: this.store.newest }, ({ messages }) => this.store.extend(messages));
  }

  showNewest() {
    this.#page("newer", {}, ({ messages, more }) => this.store.restart(messages, more));
  }

  // One request at a time for each end.
  async #page(end, range, apply) {
    if (this.pages[end] === "loading") return;
    const { epoch } = this.store;
    this.pages[end] = "loading";
    this.listener.changed();
    try {
      const page = await this.requests.ask(history({ ...range, limit: PAGE }));
      if (epoch === this.store.epoch) apply(page);
      this.pages[end] = "idle";
    } catch {
      this.pages[end] = "failed";
    }
    this.listener.changed();
  }

  // --- what the connection does ---

  #stateChanged() {
    if (this.socket.state === "waiting") {
      this.outbox.disconnected();
      this.requests.abort();
    }
    if (this.socket.state === "live") this.#caughtUp();
    if (this.socket.state === "signed-out") this.listener.signedOut();
    if (this.socket.state === "waiting" && this.me === null && this.socket.failures > 1) this.listener.unreachable();
    this.listener.changed();
  }

  #caughtUp() {
    this.outbox.settleUpTo(this.#target);
    this.recovered += this.#missed;
    if (this.#missed) this.listener.caughtUp(this.#missed);
    this.#missed = 0;
    this.#lastRead = null;
  }

  #received(event) {
    if (this.requests.settle(event)) return;
    const receive = this.#receivers[event.type];
    if (!receive) return;
    receive(event);
    if (this.store.offset >= this.#target) this.socket.settle();
    this.listener.changed();
  }

  #receivers = {
    welcome: (event) => this.#welcomed(event),
    message: (event) => this.#heard(event),
    gap: (event) => this.store.gap(event),
    ack: ({ id, offset }) => this.#acknowledged(id, offset),
    error: (event) => this.#complained(event),
    presence: (event) => this.#cameOrWent(event),
    typing: ({ user }) => user.id !== this.me.id && this.presence.typed(user, this.clock.now()),
    status: ({ state }) => void (this.degraded = state === "degraded"),
  };

  #welcomed(welcome) {
    if (this.connection !== null) this.reconnects += 1;
    this.me = welcome.user;
    this.connection = welcome.connection;
    this.limits = { text_length: welcome.limits?.text_length || Infinity };
    this.expires = moment(welcome.expires);
    this.blocked = false;
    this.degraded = false;
    this.heldUntil = null;
    this.#target = welcome.offset;
    this.store.welcome(welcome);
    this.presence.welcome(welcome);
    this.listener.welcomed();
    this.#flush();
  }

  #heard(message) {
    const item = this.store.receive(message);
    if (item === null) return;
    const mine = message.user.id === this.me.id;
    const missed = this.socket.state !== "live" && this.reconnects > 0;
    if (mine) this.outbox.settle(message.id);
    else if (this.#isNews(message)) this.unread.arrived(item.key, { missed: this.socket.state !== "live" });
    if (missed) this.#missed += 1;
    this.presence.spoke(message.user);
    this.listener.arrived(message, { mine, replayed: this.socket.state !== "live" });
  }

  // What a first join replays is only news if it was said after the last visit.
  #isNews({ offset }) {
    if (this.socket.state === "live" || this.reconnects > 0) return true;
    return this.#lastRead?.epoch === this.store.epoch && offset > this.#lastRead.offset;
  }

  #cameOrWent(event) {
    const others = (users = []) => users.filter(({ id }) => id !== this.me.id);
    const joined = others(event.joined).filter(({ id }) => !this.presence.members.has(id));
    const left = others(event.left);
    this.presence.change(event);
    if (joined.length || left.length) this.store.note({ joined, left });
  }

  #acknowledged(id, offset) {
    this.outbox.acknowledge(id, offset);
    if (this.store.has(keyOf(this.me, id))) this.outbox.settle(id);
    this.#watchAcks();
  }

  #complained({ id, code, retry_ms: wait }) {
    if (!this.outbox.find(id)) return;
    if (wait === undefined) this.outbox.fail(id, code);
    else this.#hold(id, { wait, tooFast: code === ErrorCode.RATE_LIMITED });
    this.#watchAcks();
  }

  #hold(id, { wait, tooFast }) {
    this.outbox.requeue(id);
    if (tooFast && this.heldUntil === null) this.listener.tooFast();
    if (tooFast) this.heldUntil = this.clock.now() + wait;
    this.#after("hold", wait, () => this.#flush());
  }

  #flush() {
    if (this.clock.now() < this.heldUntil) return;
    this.heldUntil = null;
    this.outbox.flush(({ id, text }) => this.socket.send(publish(id, text)));
    this.#watchAcks();
    this.listener.changed();
  }

  #watchAcks() {
    const deadline = this.outbox.deadline();
    this.clock.clearTimeout(this.#timers.acks);
    if (deadline !== null) this.#after("acks", deadline - this.clock.now(), () => this.socket.suspect());
  }

  #after(name, ms, action) {
    this.clock.clearTimeout(this.#timers[name]);
    this.#timers[name] = this.clock.setTimeout(action, ms);
  }
}

const moment = (at) => (at === undefined ? null : Date.parse(at));
