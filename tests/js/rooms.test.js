import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Drafts } from "../../static/js/drafts.js";
import { roomProblem } from "../../static/js/room_name.js";
import { Rooms } from "../../static/js/rooms.js";
import { valueStorage } from "./doubles.js";

let storage, rooms;

beforeEach(() => {
  storage = valueStorage();
  rooms = new Rooms(storage);
});

test("rooms are listed by name, the twenty visited last", () => {
  for (let i = 30; i > 0; i -= 1) rooms.visit(`room-${String(i).padStart(2, "0")}`, 100 - i);
  assert.equal(rooms.names.length, 20);
  assert.deepEqual([rooms.names[0], rooms.names.at(-1)], ["room-01", "room-20"]);
});

test("what was read never becomes unread again", () => {
  rooms.visit("foo", 1);
  rooms.markRead("foo", "a1", { epoch: "e1", offset: 9 });
  rooms.markRead("foo", "a1", { epoch: "e1", offset: 3 });
  assert.deepEqual(rooms.lastRead("foo", "a1"), { epoch: "e1", offset: 9 });
  rooms.markRead("foo", "a1", { epoch: "e2", offset: 1 });
  assert.deepEqual(rooms.lastRead("foo", "a1"), { epoch: "e2", offset: 1 });
});

test("people read for themselves", () => {
  rooms.visit("foo", 1);
  rooms.markRead("foo", "a1", { epoch: "e1", offset: 9 });
  assert.equal(rooms.lastRead("foo", "b2"), null);
});

test("another tab's visits are seen after a refresh", () => {
  new Rooms(storage).visit("bar", 1);
  rooms.refresh();
  assert.deepEqual(rooms.names, ["bar"]);
});

test("a sent draft is gone, another tab's draft is not", () => {
  const [here, there] = [new Drafts(() => storage), new Drafts(() => storage)];
  here.save("a1", "foo", "begun here");
  here.sent("a1", "foo");
  assert.equal(here.load("a1", "foo"), "");
  here.save("a1", "foo", "begun here");
  there.save("a1", "foo", "begun there");
  here.sent("a1", "foo");
  assert.equal(here.load("a1", "foo"), "begun there");
});

test("room names follow the server's rule", () => {
  for (const good of ["foo", "日本語", "a-b_c.d:e@f~g", "हिन्दी"]) assert.equal(roomProblem(good), "");
  for (const bad of ["", "two words", "a/b", "x".repeat(129), "a?b"]) assert.notEqual(roomProblem(bad), "");
});
