import assert from "node:assert/strict";
import { test } from "node:test";

import { OtherRooms } from "../../static/js/other_rooms.js";

const read = { epoch: "e1", offset: 5 };

function looking(answers) {
  const asked = [];
  const newest = async (room) => {
    asked.push(room);
    if (answers[room] instanceof Error) throw answers[room];
    return answers[room];
  };
  return { asked, others: new OtherRooms({ newest, changed() {} }) };
}

const look = (others, ...rooms) => others.look(rooms.map((room) => ({ room, read })));

test("what is unread is how far the room has got beyond what I read", async () => {
  const { others } = looking({ foo: { epoch: "e1", offset: 8 }, bar: { epoch: "e1", offset: 5 } });
  await look(others, "foo", "bar");
  assert.deepEqual(
    [...others.unread],
    [
      ["foo", 3],
      ["bar", 0],
    ],
  );
});

test("a room that began anew is unread as a whole", async () => {
  const { others } = looking({ foo: { epoch: "e2", offset: 2 } });
  await look(others, "foo");
  assert.equal(others.unread.get("foo"), 2);
});

test("one room that cannot be asked does not hide the others", async () => {
  const { others } = looking({ foo: new Error("offline"), bar: { epoch: "e1", offset: 6 } });
  await look(others, "foo", "bar");
  assert.deepEqual([...others.unread], [["bar", 1]]);
});

test("a server that does not tell is asked once", async () => {
  const { others, asked } = looking({ foo: null, bar: null });
  await look(others, "foo", "bar");
  await look(others, "foo", "bar");
  assert.deepEqual(asked, ["foo"]);
});

test("who asks while a round is under way gets another one after it", async () => {
  const { others, asked } = looking({ foo: { epoch: "e1", offset: 6 }, bar: { epoch: "e1", offset: 7 } });
  const first = look(others, "foo");
  look(others, "bar");
  await first;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, ["foo", "bar"]);
  assert.equal(others.unread.get("bar"), 2);
});
