import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Outbox } from "../../static/js/outbox.js";
import { SteppedClock, memoryStorage } from "./doubles.js";

let clock, storage, outbox, sent;

beforeEach(() => {
  clock = new SteppedClock();
  storage = memoryStorage();
  outbox = fresh();
  sent = [];
});

function fresh() {
  let last = 0;
  return new Outbox({ clock, makeId: () => `id${(last += 1)}`, storage });
}

const send = ({ id }) => sent.push(id) > 0;
const states = () => outbox.entries.map(({ state }) => state);

test("what is said goes out in order, and stays until its message is in the room", () => {
  outbox.add("one");
  outbox.add("two");
  outbox.flush(send);
  outbox.acknowledge("id1");
  assert.deepEqual(sent, ["id1", "id2"]);
  assert.deepEqual(states(), ["sent", "sending"]);
  outbox.settle("id1");
  assert.deepEqual(states(), ["sending"]);
});

test("a connection that is not there keeps everything queued", () => {
  outbox.add("one");
  outbox.flush(() => false);
  assert.deepEqual(states(), ["queued"]);
});

test("after a reconnect what was not acknowledged goes out again under the same ids", () => {
  outbox.add("one");
  outbox.add("two");
  outbox.flush(send);
  outbox.acknowledge("id1");
  outbox.disconnected();
  outbox.flush(send);
  assert.deepEqual(sent, ["id1", "id2", "id2"]);
});

test("what waited longer than 5 minutes is left to the user", () => {
  outbox.add("one");
  clock.advance(5 * 60_000 + 1);
  outbox.flush(send);
  assert.deepEqual(sent, []);
  assert.deepEqual(states(), ["failed"]);
  outbox.retry("id1");
  outbox.flush(send);
  assert.deepEqual(sent, ["id1"]);
});

test("trying again what is already on its way does nothing", () => {
  outbox.add("one");
  outbox.flush(send);
  outbox.retry("id1");
  assert.deepEqual(states(), ["sending"]);
});

test("an answer is overdue 10 seconds after the oldest was sent", () => {
  assert.equal(outbox.deadline(), null);
  outbox.add("one");
  outbox.flush(send);
  assert.equal(outbox.deadline(), clock.now() + 10_000);
  outbox.acknowledge("id1");
  assert.equal(outbox.deadline(), null);
});

test("a reload loses nothing and knows that nothing is on its way", () => {
  outbox.add("one");
  outbox.add("two");
  outbox.flush(send);
  outbox.fail("id2", "too_long");
  outbox = fresh();
  assert.deepEqual(states(), ["queued", "failed"]);
  assert.equal(outbox.failed[0].reason, "too_long");
});

test("nothing is kept once everything is acknowledged", () => {
  outbox.add("one");
  outbox.flush(send);
  outbox.acknowledge("id1");
  assert.equal(storage.saved, null);
});
