import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../static/js/conversation.js";
import {
  ANN,
  BOB,
  SteppedClock,
  memoryStorage,
  message,
  recordingListener,
  recordingWebSocket,
  welcome,
} from "./doubles.js";

let clock, WebSocket, conversation, listener;

beforeEach(() => {
  clock = new SteppedClock();
  WebSocket = recordingWebSocket();
  listener = recordingListener();
  conversation = converse();
  conversation.open();
});

function converse(change = {}) {
  let last = 0;
  return new Conversation({
    room: "foo",
    credentials: () => ({ name: "Ann", token: "secret" }),
    base: "http://chat.example/",
    listener,
    lastRead: null,
    WebSocket,
    clock,
    random: () => 0.5,
    makeId: () => `id${(last += 1)}`,
    storage: memoryStorage(),
    ...change,
  });
}

function goLive() {
  WebSocket.last.says(welcome(), { type: "pong" });
}

const published = () => WebSocket.last.sentOf("publish").map(({ id }) => id);
const states = () => conversation.outbox.entries.map(({ state }) => state);

function reconnect(change) {
  WebSocket.last.ends(1006);
  clock.advance(conversation.socket.retryAt - clock.now());
  WebSocket.last.says(welcome(change), { type: "pong" });
}

test("what is said before the welcome goes out with it", () => {
  conversation.say("early");
  assert.deepEqual(published(), []);
  WebSocket.last.says(welcome());
  assert.deepEqual(published(), ["id1"]);
});

test("an own message is done once it has come back from the room", () => {
  WebSocket.last.says(welcome());
  conversation.say("hi");
  WebSocket.last.says({ type: "ack", id: "id1", epoch: "e1", offset: 1, duplicate: false });
  assert.deepEqual(states(), ["sent"]);
  WebSocket.last.says(message(1, { id: "id1", user: ANN }));
  assert.deepEqual(states(), []);
});

test("an acknowledged message that fell into a gap does not stay at the end for ever", () => {
  goLive();
  conversation.say("hi");
  WebSocket.last.says({ type: "ack", id: "id1", epoch: "e1", offset: 1, duplicate: false });
  reconnect({ offset: 9 });
  WebSocket.last.says({ type: "gap", after: 0, before: 9, reason: "trimmed", epoch: "e1" }, message(9));
  assert.deepEqual(states(), []);
});

test("nobody else can settle it by using the same id", () => {
  WebSocket.last.says(welcome());
  conversation.say("hi");
  WebSocket.last.says(message(1, { id: "id1" }));
  assert.deepEqual(states(), ["sending"]);
});

test("a lost acknowledgement leads to the same id again, and to no second message", () => {
  WebSocket.last.says(welcome());
  conversation.say("hi");
  WebSocket.last.says(message(1, { id: "id1", user: ANN }));
  conversation.say("again");
  reconnect({ offset: 1 });
  assert.deepEqual(published(), ["id2"]);
});

test("a reconnect resumes where it was", () => {
  WebSocket.last.says(welcome({ offset: 1 }), message(1));
  WebSocket.last.ends(1012);
  clock.advance(2_000);
  assert.match(WebSocket.last.url, /since=e1%3A1$/);
});

test("it is live when everything that the welcome promised is here", () => {
  WebSocket.last.says(welcome({ offset: 2 }), message(1));
  assert.equal(conversation.socket.state, "catching-up");
  WebSocket.last.says(message(2));
  assert.equal(conversation.socket.state, "live");
});

test("no answer within 10 seconds makes the socket suspect", () => {
  WebSocket.last.says(welcome(), { type: "pong" });
  conversation.say("hi");
  clock.advance(10_000);
  assert.equal(conversation.socket.state, "waiting");
  assert.deepEqual(states(), ["queued"]);
});

test("an error that names a delay is tried again after it, any other is for the user", () => {
  WebSocket.last.says(welcome());
  conversation.say("one");
  conversation.say("two");
  WebSocket.last.says(
    { type: "error", id: "id1", code: "unavailable", message: "…", retry_ms: 1_000 },
    { type: "error", id: "id2", code: "too_long", message: "…" },
  );
  assert.deepEqual(states(), ["queued", "failed"]);
  clock.advance(1_000);
  assert.deepEqual(published(), ["id1", "id2", "id1"]);
});

test("leaving leaves no timer behind", () => {
  WebSocket.last.says(welcome());
  conversation.say("hi");
  conversation.leave();
  assert.equal(clock.waiting, 0);
});

test("an error about the rate holds back everything until its delay is over", () => {
  goLive();
  conversation.say("one");
  WebSocket.last.says({ type: "error", id: "id1", code: "rate_limited", message: "…", retry_ms: 4_000 });
  conversation.say("two");
  assert.equal(conversation.heldUntil, clock.now() + 4_000);
  assert.deepEqual(published(), ["id1"]);
  clock.advance(4_000);
  assert.deepEqual(published(), ["id1", "id1", "id2"]);
  assert.equal(conversation.heldUntil, null);
});

test("what a reconnect brings is counted and told once", () => {
  goLive();
  reconnect({ offset: 3 });
  WebSocket.last.says(message(1), message(2), message(3));
  assert.equal(conversation.recovered, 3);
  assert.deepEqual(
    listener.heard.filter(([name]) => name === "caughtUp"),
    [["caughtUp", 3]],
  );
});

test("what a first join replays is not new, unless it came after the last visit", () => {
  for (const [lastRead, marker] of [
    [null, null],
    [{ epoch: "e1", offset: 1 }, "b2/m2"],
    [{ epoch: "old", offset: 1 }, null],
  ]) {
    const visit = converse({ lastRead });
    visit.open();
    WebSocket.last.says(welcome({ offset: 2 }), message(1), message(2));
    assert.equal(visit.unread.marker, marker);
  }
});

test("typing is told at most every three seconds, and again after a message", () => {
  goLive();
  const told = () => WebSocket.last.sentOf("typing").length;
  conversation.type();
  clock.advance(2_999);
  conversation.type();
  assert.equal(told(), 1);
  clock.advance(1);
  conversation.type();
  assert.equal(told(), 2);
  conversation.say("hi");
  clock.advance(1_000);
  conversation.type();
  assert.equal(told(), 3);
});

test("nobody sees themselves typing", () => {
  goLive();
  WebSocket.last.says({ type: "typing", user: ANN }, { type: "typing", user: BOB });
  assert.deepEqual(conversation.presence.typing(clock.now()), [BOB]);
});

test("comings and goings of others make a line, our own do not", () => {
  WebSocket.last.says(welcome({ members: [ANN], count: 1 }), { type: "pong" });
  WebSocket.last.says({ type: "presence", joined: [ANN, BOB], left: [], count: 2 });
  assert.deepEqual(
    conversation.store.items.map(({ joined }) => joined),
    [[BOB]],
  );
});

test("history asks for what comes before the oldest message, one page at a time", async () => {
  WebSocket.last.says(welcome({ offset: 60 }), message(59), message(60));
  conversation.showOlder();
  conversation.showOlder();
  const asked = WebSocket.last.sentOf("history");
  assert.deepEqual(asked, [{ type: "history", id: "id1", before: 59, limit: 50 }]);
  WebSocket.last.says({ type: "history", id: "id1", messages: [message(57), message(58)], more: true });
  await Promise.resolve();
  assert.deepEqual(
    conversation.store.items.map(({ offset }) => offset),
    [57, 58, 59, 60],
  );
});

test("history that is not answered is said to have failed", async () => {
  WebSocket.last.says(welcome({ offset: 60 }), message(60), { type: "pong" });
  conversation.showOlder();
  clock.advance(10_000);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(conversation.pages.older, "failed");
});

test("a new token is shown to the server, and its end is known from the answer", async () => {
  WebSocket.last.says(welcome({ expires: "2026-11-20T10:00:00.000Z" }), { type: "pong" });
  assert.equal(conversation.expires, Date.parse("2026-11-20T10:00:00Z"));
  const refreshed = conversation.refresh("fresh");
  assert.deepEqual(WebSocket.last.sentOf("refresh"), [{ type: "refresh", token: "fresh", id: "id1" }]);
  WebSocket.last.says({ type: "ack", id: "id1", expires: "2026-11-20T11:00:00.000Z" });
  assert.equal(await refreshed, Date.parse("2026-11-20T11:00:00Z"));
  assert.equal(conversation.expires, Date.parse("2026-11-20T11:00:00Z"));
});

test("a token that the server does not take changes nothing", async () => {
  WebSocket.last.says(welcome({ expires: "2026-11-20T10:00:00.000Z" }), { type: "pong" });
  const refreshed = conversation.refresh("stale");
  WebSocket.last.says({ type: "error", id: "id1", code: "unauthenticated", message: "no" });
  await assert.rejects(refreshed);
  assert.equal(conversation.expires, Date.parse("2026-11-20T10:00:00Z"));
});

test("who is taken no longer is told once", () => {
  goLive();
  WebSocket.last.ends(4401);
  assert.deepEqual(
    listener.heard.map(([name]) => name).filter((name) => name === "signedOut"),
    ["signedOut"],
  );
});

test("a path that has never led in is told after the second attempt, one that did is not", () => {
  const told = () => listener.heard.filter(([name]) => name === "unreachable").length;
  WebSocket.last.ends();
  assert.equal(told(), 0);
  clock.advance(2_000);
  WebSocket.last.ends();
  assert.equal(told(), 1);
  clock.advance(5_000);
  goLive();
  for (let times = 0; times < 3; times += 1) {
    WebSocket.last.ends();
    clock.advance(31_000);
  }
  assert.equal(told(), 1);
});

test("fifty reconnects leave no timer and no socket behind", () => {
  goLive();
  const before = clock.waiting;
  for (let times = 0; times < 50; times += 1) {
    clock.advance(6_000);
    WebSocket.last.ends();
    clock.advance(1_500);
    goLive();
  }
  assert.equal(conversation.reconnects, 50);
  assert.equal(clock.waiting, before);
  const held = WebSocket.opened.filter(({ onmessage, onclose }) => onmessage !== null || onclose !== null);
  assert.deepEqual(held, [WebSocket.last]);
  conversation.leave();
  assert.equal(clock.waiting, 0);
});
