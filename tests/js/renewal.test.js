import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Renewal } from "../../static/js/renewal.js";
import { SteppedClock } from "./doubles.js";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let clock, attempts, outcomes, renewal;

beforeEach(() => {
  clock = new SteppedClock();
  attempts = [];
  outcomes = [];
  renewal = new Renewal({
    clock,
    renew: async () => {
      attempts.push(clock.now());
      const outcome = outcomes.shift();
      if (outcome === undefined) throw new Error("not connected");
      return outcome;
    },
  });
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a minute before the end more time is asked for, and then followed", async () => {
  const start = clock.now();
  outcomes = [start + 2 * 60 * MINUTE];
  renewal.follow(start + 60 * MINUTE);
  clock.advance(59 * MINUTE);
  assert.deepEqual(attempts, [start + 59 * MINUTE]);
  await settled();
  clock.advance(59 * MINUTE);
  assert.equal(attempts.length, 1);
  clock.advance(MINUTE);
  assert.equal(attempts.length, 2);
});

test("a short time is asked for again after three quarters of it", () => {
  const start = clock.now();
  renewal.follow(start + 4_000);
  clock.advance(3_000);
  assert.deepEqual(attempts, [start + 3_000]);
});

test("an attempt that brings nothing is repeated, until it is too late", async () => {
  const end = clock.now() + 60 * MINUTE;
  outcomes = [undefined, end];
  renewal.follow(end);
  for (let steps = 0; steps < 20; steps += 1) {
    clock.advance(steps === 0 ? 59 * MINUTE : 20_000);
    await settled();
  }
  assert.equal(attempts.length, 4);
  assert.equal(clock.waiting, 0);
});

test("an end further away than a browser's timers reach is waited for all the same", () => {
  const start = clock.now();
  renewal.follow(start + 40 * DAY);
  clock.advance(40 * DAY - 2 * MINUTE);
  assert.equal(attempts.length, 0);
  clock.advance(MINUTE);
  assert.equal(attempts.length, 1);
});

test("without an end, or once stopped, nothing is waited for", () => {
  renewal.follow(clock.now() + DAY);
  renewal.follow(null);
  assert.equal(clock.waiting, 0);
  renewal.follow(clock.now() + DAY);
  renewal.stop();
  assert.equal(clock.waiting, 0);
});
