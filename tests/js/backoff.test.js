import assert from "node:assert/strict";
import { test } from "node:test";

import { retryDelay } from "../../static/js/backoff.js";

test("the first attempt comes within 0.3 to 1.5 seconds", () => {
  assert.equal(
    retryDelay(0, () => 0),
    300,
  );
  assert.equal(
    retryDelay(0, () => 1),
    1_500,
  );
});

test("each failure doubles the delay, and chance takes up to half of it off", () => {
  assert.equal(
    retryDelay(1, () => 1),
    2_000,
  );
  assert.equal(
    retryDelay(3, () => 1),
    8_000,
  );
  assert.equal(
    retryDelay(3, () => 0),
    4_000,
  );
});

test("nobody waits longer than 30 seconds", () => {
  assert.equal(
    retryDelay(50, () => 1),
    30_000,
  );
});
