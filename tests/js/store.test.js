import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Store } from "../../static/js/store.js";
import { message, welcome } from "./doubles.js";

let store;

beforeEach(() => {
  store = new Store();
  store.welcome(welcome());
});

const offsets = () => store.items.map(({ offset }) => offset);

test("a message is there once, however often it is delivered", () => {
  assert.equal(store.receive(message(1)), true);
  assert.equal(store.receive(message(1)), false);
  assert.deepEqual(offsets(), [1]);
});

test("a resume asks for what came after the newest message", () => {
  assert.deepEqual(store.position, { epoch: "e1", offset: 0 });
  store.receive(message(41));
  store.receive(message(42));
  assert.deepEqual(store.position, { epoch: "e1", offset: 42 });
});

test("a gap stands where messages are missing, and says how many", () => {
  store.receive(message(1));
  store.gap({ after: 1, before: 10, epoch: "e1" });
  store.receive(message(10));
  assert.deepEqual(store.items.map(({ kind, count }) => [kind, count]), [["message", undefined], ["gap", 8], ["message", undefined]]);
});

test("a new epoch keeps what was said, and counts anew", () => {
  store.receive(message(7));
  store.welcome(welcome({ epoch: "e2" }));
  assert.equal(store.receive(message(1, { id: "again" })), true);
  assert.deepEqual(store.items.map(({ epoch }) => epoch), ["e1", "e2"]);
});

test("it holds no more than 500 items", () => {
  for (let offset = 1; offset <= 600; offset += 1) store.receive(message(offset));
  assert.equal(store.items.length, 500);
  assert.equal(store.items.at(-1).offset, 600);
});
