import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../static/js/conversation.js";
import { ANN, SteppedClock, memoryStorage, message, recordingWebSocket, welcome } from "./doubles.js";

let clock, WebSocket, conversation;

beforeEach(() => {
  clock = new SteppedClock();
  WebSocket = recordingWebSocket();
  let last = 0;
  conversation = new Conversation({
    room: "foo",
    name: "Ann",
    token: "secret",
    base: "http://chat.example/",
    listener: { changed() {}, arrived() {} },
    WebSocket,
    clock,
    random: () => 0.5,
    makeId: () => `id${(last += 1)}`,
    storage: memoryStorage(),
  });
  conversation.open();
});

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
