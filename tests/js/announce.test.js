import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Announcer } from "../../static/js/announce.js";
import { BOB, SteppedClock } from "./doubles.js";

let clock, region, announcer;

beforeEach(() => {
  clock = new SteppedClock();
  region = { lines: [], append: (line) => region.lines.push(line) };
  const line = (text) => {
    const made = { text, remove: () => (region.lines = region.lines.filter((one) => one !== made)) };
    return made;
  };
  announcer = new Announcer({ status: region, alert: region, line, clock });
});

const lines = () => region.lines.map(({ text }) => text);

test("a message is read once, and its line does not stay", () => {
  announcer.message({ user: BOB, text: "hi" });
  assert.deepEqual(lines(), ["Bob: hi"]);
  clock.advance(5_000);
  assert.deepEqual(lines(), []);
});

test("a flood is counted instead of read", () => {
  for (let i = 0; i < 8; i += 1) announcer.message({ user: BOB, text: `no. ${i}` });
  clock.advance(2_000);
  assert.deepEqual(lines(), ["Bob: no. 0", "Bob: no. 1", "Bob: no. 2", "5 new messages"]);
});

test("long messages are cut", () => {
  announcer.message({ user: BOB, text: "x".repeat(5_000) });
  assert.ok(lines()[0].length < 300);
});
