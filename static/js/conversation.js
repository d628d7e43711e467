// One room as one tab lives it: what is said goes composer → outbox → socket, what is heard socket → store → views.

import { publish, roomAddress } from "./protocol.js";
import { Outbox } from "./outbox.js";
import { RoomSocket } from "./socket.js";
import { Store } from "./store.js";

// The listener hears `changed()` when anything that can be seen is different, and `arrived(message, {replayed})`.
export class Conversation {
  me = null; // {id, name}, as the server knows us
  connection = null; // worker-number; unique
  limits = { text_length: 0 };
  reconnects = 0;
  #target = 0; // the offset that ends the replay
  #heldUntil = 0; // the server asked us to send nothing until then
  #timers = {};

  constructor({ room, name, token, base, listener, WebSocket, clock, random, makeId, storage }) {
    this.room = room;
    this.listener = listener;
    this.clock = clock;
    this.store = new Store();
    this.outbox = new Outbox({ clock, makeId, storage });
    this.socket = new RoomSocket({
      address: () => roomAddress(base, { room, name, token, since: this.store.position }),
      listener: { changed: () => this.#stateChanged(), received: (event) => this.#received(event) },
      WebSocket,
      clock,
      random,
    });
  }

  open() {
    this.socket.open();
  }

  leave() {
    for (const timer of Object.values(this.#timers)) this.clock.clearTimeout(timer);
    this.socket.close();
  }

  say(text) {
    const entry = this.outbox.add(text);
    this.#flush();
    return entry;
  }

  retry(id) {
    this.outbox.retry(id);
    this.#flush();
  }

  discard(id) {
    this.outbox.remove(id);
    this.listener.changed();
  }

  #stateChanged() {
    if (this.socket.state === "waiting") this.outbox.disconnected();
    this.listener.changed();
  }

  #received(event) {
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
    ack: ({ id }) => this.#acknowledged(id),
    error: (event) => this.#complained(event),
  };

  #welcomed(welcome) {
    if (this.connection !== null) this.reconnects += 1;
    this.me = welcome.user;
    this.connection = welcome.connection;
    this.limits = { ...this.limits, ...welcome.limits };
    this.#target = welcome.offset;
    this.store.welcome(welcome);
    this.#heldUntil = 0;
    this.#flush();
  }

  #heard(message) {
    if (!this.store.receive(message)) return;
    const mine = message.user.id === this.me.id;
    if (mine) this.outbox.settle(message.id);
    this.listener.arrived(message, { mine, replayed: this.socket.state !== "live" });
  }

  #acknowledged(id) {
    this.outbox.acknowledge(id);
    if (this.store.has(this.me.id, id)) this.outbox.settle(id);
    this.#watchAcks();
  }

  #complained({ id, code, retry_ms: wait }) {
    if (!this.outbox.find(id)) return;
    if (wait === undefined) this.outbox.fail(id, code);
    else this.#hold(id, wait);
    this.#watchAcks();
  }

  #hold(id, wait) {
    this.outbox.requeue(id);
    this.#heldUntil = this.clock.now() + wait;
    this.#after("hold", wait, () => this.#flush());
  }

  #flush() {
    if (this.clock.now() >= this.#heldUntil) this.outbox.flush(({ id, text }) => this.socket.send(publish(id, text)));
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
