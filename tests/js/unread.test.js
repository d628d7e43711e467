import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Unread } from "../../static/js/unread.js";

let unread;

beforeEach(() => {
  unread = new Unread();
});

const away = () => unread.look({ focused: false, atBottom: true });
const back = () => unread.look({ focused: true, atBottom: true });
const readingAbove = () => unread.look({ focused: true, atBottom: false });

test("who sees a message has read it", () => {
  unread.arrived("m1");
  assert.deepEqual([unread.count, unread.marker], [0, null]);
});

test("what arrives while nobody looks is counted, and marked where it begins", () => {
  away();
  unread.arrived("m1");
  unread.arrived("m2");
  assert.deepEqual([unread.count, unread.marker], [2, "m1"]);
});

test("coming back clears the count, and the line stays for orientation", () => {
  away();
  unread.arrived("m1");
  back();
  assert.deepEqual([unread.count, unread.marker], [0, "m1"]);
});

test("the line goes once one leaves with everything read", () => {
  away();
  unread.arrived("m1");
  back();
  away();
  assert.equal(unread.marker, null);
  unread.arrived("m2");
  assert.equal(unread.marker, "m2");
});

test("scrolled up, new messages count, and the line does not move while one reads", () => {
  readingAbove();
  unread.arrived("m1");
  back();
  readingAbove();
  unread.arrived("m2");
  assert.deepEqual([unread.count, unread.marker], [1, "m1"]);
});

test("a reconnect marks where it begins even for one who looks, and counts nothing", () => {
  unread.arrived("m1", { missed: true });
  assert.deepEqual([unread.count, unread.marker], [0, "m1"]);
});

test("saying something dismisses everything", () => {
  away();
  unread.arrived("m1");
  unread.dismiss();
  assert.deepEqual([unread.count, unread.marker], [0, null]);
});
