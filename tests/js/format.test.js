import assert from "node:assert/strict";
import { test } from "node:test";

import { atMost, title } from "../../static/js/badge.js";
import { count, formats, hue, initials } from "../../static/js/format.js";
import { BrowserStorage } from "../../static/js/storage.js";

const NOON = Date.parse("2026-11-20T12:00:00Z");

test("time and day follow the reader's place and language", () => {
  const berlin = formats("de-DE", "Europe/Berlin");
  assert.equal(berlin.time(NOON), "13:00");
  assert.equal(berlin.dayName(NOON - 3 * 86_400_000, NOON), "Dienstag, 17. November");
  assert.equal(berlin.dayName(NOON - 400 * 86_400_000, NOON), "16. Oktober 2025");
});

test("a day ends at midnight where the reader is", () => {
  const auckland = formats("en-NZ", "Pacific/Auckland");
  assert.equal(auckland.dayName(NOON - 2 * 3_600_000, NOON), "Yesterday");
});

test("one message, two messages", () => {
  assert.deepEqual(
    [count(1, "message"), count(2, "message"), count(0, "person", "people")],
    ["1 message", "2 messages", "0 people"],
  );
});

test("initials are those of the first and the last word, in any script", () => {
  assert.deepEqual(["ann", "Ann Maria Berg", "  ", "😀 x", "王浩"].map(initials), ["A", "AB", "", "😀X", "王"]);
});

test("a person has the same colour everywhere, and people spread over all colours", () => {
  assert.equal(hue("1a5b305496e0463e", 8), hue("1a5b305496e0463e", 8));
  const hues = new Set(Array.from({ length: 100 }, (_, i) => hue(`user-${i}`, 8)));
  assert.equal(hues.size, 8);
});

test("the title counts what is unread, up to 99", () => {
  assert.equal(title("foo", 0), "#foo – Broadcaster");
  assert.equal(title("foo", 3), "(3) #foo – Broadcaster");
  assert.equal(title(null, 0), "Broadcaster");
  assert.equal(atMost(100), "99+");
});

test("a browser that forbids storage keeps values as long as the page lasts", () => {
  const storage = new BrowserStorage(() => {
    throw new Error("denied");
  });
  assert.equal(storage.get("key"), null);
  storage.set("key", { a: 1 });
  assert.deepEqual(storage.get("key"), { a: 1 });
});
