// The connection to one room: a state machine over WebSockets that come and go.
//
//   idle → connecting → catching-up → live → waiting → connecting …
//   and the states that last until somebody does something: signed-out, refused; and too-many-tabs, which also ends
//   by itself, because the sockets that are too many may be those of a worker that died

import { retryDelay } from "./backoff.js";
import { CloseCode, decode, ping, stopAfter } from "./protocol.js";

const CONNECT_TIMEOUT = 8_000; // until `welcome`; a frozen path would hang for minutes
const SELDOM = 5; // failed attempts that stand for: wait as long as ever
const CATCH_UP_PATIENCE = 3_000; // a server that keeps no log replays nothing, and says nothing about it
const STABLE_AFTER = 5_000; // a connection that lasted this long is no failed attempt
const ATTEMPT_INTERVAL = 1_000; // whoever asks for an attempt at once gets at most one a second
const TICK = 5_000;
const SLEPT = 20_000; // a tick this late means that the machine slept
const PONG_TIMEOUT = 8_000;
const PONG_TIMEOUT_AFTER_SLEEP = 3_000;
const LATE = 2_000; // a deadline that fires this late says nothing about the server

// `address()` and `protocols()` are asked before each attempt. The listener hears `changed()` and `received(event)`.
export class RoomSocket {
  state = "idle";
  cause = null; // why it is waiting or stopped: lost, restart, stalled, busy, or the server's own sentence
  code = null; // the last close code
  retryAt = null; // when the next attempt is due, while waiting
  latency = null; // of the last ping, in ms
  #socket = null; // the one that counts; all others are abandoned, with no handler left on them
  failures = 0; // attempts in a row that led to no stable connection
  #attemptedAt = -Infinity;
  #liveSince = null;
  #receivedAt = 0;
  #pingedAt = null; // set while a pong is awaited
  #heartbeat = 25_000;
  #drainUntil = null; // the moment that the server asked us to wait for
  #timers = new Map();

  constructor({ address, protocols, listener, WebSocket, clock, random }) {
    this.address = address;
    this.protocols = protocols;
    this.listener = listener;
    this.WebSocket = WebSocket;
    this.clock = clock;
    this.random = random;
  }

  open() {
    this.failures = 0;
    this.#connect();
  }

  close() {
    this.#abandon(CloseCode.NORMAL);
    this.#enter("idle");
  }

  // Returns whether the command went out. It may still be lost: only a reply proves anything.
  send(command) {
    if (this.state !== "live" && this.state !== "catching-up") return false;
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  // All that `welcome` promised has been seen.
  settle() {
    if (this.state !== "catching-up") return;
    this.#cancel("settle");
    this.#liveSince = this.clock.now();
    this.#enter("live");
  }

  // Something suggests that the world is back, or that the machine slept: do not wait any longer to find out.
  wake() {
    const soon = Math.max(this.clock.now(), this.#attemptedAt + ATTEMPT_INTERVAL);
    if (this.state === "waiting") this.#retryAt(Math.min(this.retryAt, soon));
    else if (this.#isWelcome()) this.#probe(PONG_TIMEOUT_AFTER_SLEEP);
  }

  // Asks how long the way there and back takes; the answer is `latency`.
  measure() {
    if (this.#isWelcome() && this.#pingedAt === null) this.#probe(PONG_TIMEOUT);
  }

  // An answer is overdue on a socket that looks open: OPEN proves nothing.
  suspect() {
    if (this.#isWelcome()) this.#lost("lost");
  }

  #isWelcome() {
    return this.state === "live" || this.state === "catching-up";
  }

  #connect() {
    this.#abandon();
    this.#attemptedAt = this.clock.now();
    this.#liveSince = null;
    const socket = new this.WebSocket(this.address(), this.protocols());
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#received(decode(data));
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#after("connect", CONNECT_TIMEOUT, () => this.#lost("lost"));
    this.#enter("connecting");
  }

  #received(event) {
    this.#receivedAt = this.clock.now();
    if (this.#pingedAt !== null) this.#answered(event);
    if (event === null) return;
    if (event.type === "welcome") this.#welcomed(event);
    if (event.type === "draining") this.#drainUntil = this.clock.now() + (event.retry_ms ?? 0);
    this.listener.received(event);
  }

  #welcomed({ heartbeat }) {
    this.#cancel("connect");
    if (heartbeat > 0) this.#heartbeat = heartbeat * 1_000;
    this.cause = null;
    this.code = null;
    this.#after("settle", CATCH_UP_PATIENCE, () => this.settle());
    this.#tick(this.clock.now());
    this.#enter("catching-up");
    this.#probe(PONG_TIMEOUT);
  }

  #closed(code, reason) {
    const stop = stopAfter(code);
    this.code = code;
    if (stop) this.#stop(stop, reason);
    else if (code === CloseCode.RESTART) this.#lost("restart", this.#drained());
    else if (code === CloseCode.STALLED) this.#lost("stalled");
    else if (code === CloseCode.UNAVAILABLE || code === CloseCode.RATE_LIMITED) this.#lost("busy");
    else this.#lost("lost");
  }

  #stop(state, reason) {
    this.#abandon();
    this.cause = reason;
    if (state === "too-many-tabs") this.#retryAt(this.clock.now() + retryDelay(SELDOM, this.random));
    this.#enter(state);
  }

  #drained() {
    return this.#drainUntil === null ? undefined : Math.max(0, this.#drainUntil - this.clock.now());
  }

  #lost(cause, delay) {
    const now = this.clock.now();
    if (this.#liveSince !== null && now - this.#liveSince >= STABLE_AFTER) this.failures = 0;
    const wait = delay ?? retryDelay(this.failures, this.random);
    this.#abandon();
    this.failures += 1;
    // While attempts fail, the first cause stays the one that explains most: a restart is still a restart.
    if (this.cause === null || cause !== "lost") this.cause = cause;
    this.#retryAt(now + wait);
    this.#enter("waiting");
  }

  #retryAt(moment) {
    this.retryAt = moment;
    this.#after("retry", moment - this.clock.now(), () => this.#connect());
  }

  // A dead path raises no close event, not even for our own close(): let go of the socket without waiting for one.
  #abandon(code) {
    for (const name of this.#timers.keys()) this.#cancel(name);
    this.retryAt = null;
    this.#pingedAt = null;
    this.#drainUntil = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  #enter(state) {
    this.state = state;
    this.listener.changed();
  }

  // --- is anybody there? ---

  #tick(tickedAt) {
    this.#after("tick", TICK, () => {
      const now = this.clock.now();
      if (now - tickedAt > TICK + SLEPT) this.#probe(PONG_TIMEOUT_AFTER_SLEEP);
      else if (this.#isSilent(now) && !this.#timers.has("pong")) this.#probe(PONG_TIMEOUT);
      this.#tick(now);
    });
  }

  #isSilent(now) {
    return now - this.#receivedAt >= this.#heartbeat - TICK / 2;
  }

  #probe(timeout) {
    const now = this.clock.now();
    this.#pingedAt = now;
    this.#socket.send(JSON.stringify(ping()));
    this.#after("pong", timeout, () => {
      // The timer of a tab that slept may fire before the frames that were waiting for it.
      if (this.clock.now() - now > timeout + LATE) this.#probe(PONG_TIMEOUT_AFTER_SLEEP);
      else this.#lost("lost");
    });
  }

  // Any frame proves that the path is alive; only the pong tells how fast.
  #answered(event) {
    this.#cancel("pong");
    if (event?.type !== "pong") return;
    this.latency = this.clock.now() - this.#pingedAt;
    this.#pingedAt = null;
    this.listener.changed();
  }

  #after(name, ms, action) {
    this.#cancel(name);
    const timer = this.clock.setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms);
    this.#timers.set(name, timer);
  }

  #cancel(name) {
    this.clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
