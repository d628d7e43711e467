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
  assert.equal(store.receive(message(1)).key, "b2/m1");
  assert.equal(store.receive(message(1)), null);
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
  store.gap({ after: 1, before: 10, reason: "trimmed", epoch: "e1" });
  store.receive(message(10));
  assert.deepEqual(
    store.items.map(({ kind, count }) => [kind, count]),
    [
      ["message", undefined],
      ["gap", 8],
      ["message", undefined],
    ],
  );
});

test("a store that lost its newest messages gives their offsets to others", () => {
  fill(1, 9);
  store.gap({ after: 5, before: 6, reason: "ahead", epoch: "e1" });
  assert.deepEqual(store.position, { epoch: "e1", offset: 5 });
  store.receive(message(6, { id: "after the loss" }));
  assert.deepEqual(offsets().slice(-3), [9, 5, 6]);
});

test("a detached window is let go when offsets begin anew", () => {
  fill(1, 500);
  store.farEnd = "newest";
  fill(501, 503);
  store.welcome(welcome({ epoch: "e2" }));
  store.receive(message(1, { id: "anew" }));
  assert.ok(!store.detached);
  assert.deepEqual(offsets(), [1]);
});

test("a new epoch keeps what was said, and counts anew", () => {
  store.receive(message(7));
  store.welcome(welcome({ epoch: "e2" }));
  store.receive(message(1, { id: "again" }));
  assert.deepEqual(
    store.items.map(({ epoch }) => epoch),
    ["e1", "e2"],
  );
});

test("an id that comes a second time does not hide the first message", () => {
  const items = [1, 2].map((offset) => store.receive(message(offset, { id: "same" })));
  assert.notEqual(items[0].key, items[1].key);
});

function fill(from, to) {
  for (let offset = from; offset <= to; offset += 1) store.receive(message(offset));
}

test("it holds no more than 500 items, the newest", () => {
  fill(1, 600);
  assert.deepEqual([store.items.length, offsets()[0], offsets().at(-1)], [500, 101, 600]);
  assert.equal(store.oldest, 101);
});

test("older pages go in front, and the beginning is known", () => {
  fill(51, 60);
  store.prepend([message(49), message(50)], true);
  assert.equal(store.oldest, 49);
  store.prepend([message(1)], false);
  assert.equal(store.oldest, null);
  assert.equal(offsets()[0], 1);
});

test("who reads far up keeps what they read; what arrives waits out of sight", () => {
  fill(1, 500);
  store.farEnd = "newest";
  fill(501, 503);
  assert.ok(store.detached);
  assert.deepEqual([offsets()[0], offsets().at(-1)], [1, 500]);
  assert.deepEqual(store.position, { epoch: "e1", offset: 503 });
});

test("paging down joins what waited, without hole or double", () => {
  fill(1, 500);
  store.farEnd = "newest";
  fill(501, 600);
  store.extend(Array.from({ length: 50 }, (_, i) => message(501 + i)));
  assert.ok(!store.detached);
  assert.deepEqual(
    offsets(),
    Array.from({ length: 500 }, (_, i) => 101 + i),
  );
});

test("paging down that does not reach the newest goes on later", () => {
  fill(1, 500);
  store.farEnd = "newest";
  fill(501, 700);
  store.extend(Array.from({ length: 50 }, (_, i) => message(501 + i)));
  assert.ok(store.detached);
  assert.equal(store.newest, 550);
});

test("the newest page takes the place of everything, with what arrived meanwhile", () => {
  fill(1, 500);
  store.farEnd = "newest";
  fill(501, 603);
  store.restart(
    Array.from({ length: 50 }, (_, i) => message(551 + i)),
    true,
  );
  assert.ok(!store.detached);
  assert.deepEqual([offsets()[0], offsets().at(-1), offsets().length], [551, 603, 53]);
});
