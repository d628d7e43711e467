import assert from "node:assert/strict";
import { test } from "node:test";

import { Presence } from "../../static/js/presence.js";
import { ANN, BOB, welcome } from "./doubles.js";

const listed = (presence) => presence.list(ANN).map(({ name }) => name);

function here(...members) {
  const presence = new Presence();
  presence.welcome(welcome({ members, count: members.length }));
  return presence;
}

test("a server that does not tell who is here is not taken for an empty room", () => {
  const presence = new Presence();
  presence.welcome(welcome());
  assert.equal(presence.known, false);
});

test("I come first, the others by name", () => {
  assert.deepEqual(listed(here({ id: "z", name: "Aaron" }, BOB, ANN)), ["Ann", "Aaron", "Bob"]);
});

test("who joins is here, who leaves is not, and a new name replaces the old one", () => {
  const presence = here(ANN);
  presence.change({ joined: [BOB], left: [], count: 2 });
  presence.change({ joined: [{ ...BOB, name: "Robert" }], left: [], count: 2 });
  assert.deepEqual(listed(presence), ["Ann", "Robert"]);
  presence.change({ joined: [], left: [BOB], count: 1 });
  assert.deepEqual(listed(presence), ["Ann"]);
});

test("typing ends after six seconds, with the message, or when its author leaves", () => {
  const presence = here(ANN, BOB);
  presence.typed(BOB, 0);
  assert.deepEqual(presence.typing(5_999), [BOB]);
  assert.deepEqual(presence.typing(6_000), []);
  presence.typed(BOB, 10_000);
  presence.spoke(BOB);
  assert.deepEqual(presence.typing(10_001), []);
  presence.typed(BOB, 20_000);
  presence.change({ left: [BOB] });
  assert.deepEqual(presence.typing(20_001), []);
});
