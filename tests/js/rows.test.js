import assert from "node:assert/strict";
import { test } from "node:test";

import { formats } from "../../static/js/format.js";
import { names, rows } from "../../static/js/rows.js";
import { ANN, BOB } from "./doubles.js";

const NOON = Date.parse("2026-11-20T12:00:00Z");
const CLEO = { id: "c3", name: "Cleo" };
const format = formats("en-GB", "UTC");

const said = (user, minutes, id = `m${minutes}`) => ({
  kind: "message",
  key: `${user.id}/${id}`,
  user,
  id,
  text: "text",
  at: new Date(NOON + minutes * 60_000).toISOString(),
});

const came = (joined, left = [], key = "n") => ({ kind: "notice", key, joined, left });

function drawn({
  items = [],
  entries = [],
  limit = 4_000,
  marker = null,
  older = null,
  newer = null,
  now = NOON,
} = {}) {
  return rows({ items, entries, limit, marker, older, newer, me: ANN, now, formats: format });
}

const messages = (given) => drawn(given).filter(({ kind }) => kind === "message");

test("messages of one person within five minutes stand together", () => {
  const items = [said(BOB, 0), said(BOB, 5), said(BOB, 11), said(CLEO, 12)];
  assert.deepEqual(
    messages({ items }).map(({ grouped }) => grouped),
    [false, true, false, false],
  );
});

test("a line in between ends the group", () => {
  const items = [said(BOB, 0), came([CLEO]), said(BOB, 1), said(BOB, 2)];
  assert.deepEqual(
    messages({ items, marker: "b2/m2" }).map(({ grouped }) => grouped),
    [false, false, false],
  );
});

test("each day begins with its name", () => {
  const items = [said(BOB, -2 * 1440), said(BOB, -1440), said(BOB, 0), said(BOB, 1)];
  const days = drawn({ items }).filter(({ kind }) => kind === "day");
  assert.deepEqual(
    days.map(({ text }) => text),
    ["Wednesday 18 November", "Yesterday", "Today"],
  );
});

test("what I say stands at the end until it has its place, under the same key", () => {
  const entry = { id: "x", text: "hi", at: NOON, state: "sending", reason: null };
  const [pending] = messages({ entries: [entry] });
  const [sent] = messages({ items: [said(ANN, 0, "x")] });
  assert.equal(pending.key, sent.key);
  assert.deepEqual([pending.state, sent.state, sent.mine], ["sending", "sent", true]);
});

test("comings and goings between two messages are one line", () => {
  const [notice] = drawn({
    items: [came([BOB], [], "n1"), came([CLEO], [], "n2"), came([], [{ id: "d", name: "Dan" }], "n3")],
  });
  assert.deepEqual([notice.key, notice.text], ["n1", "Bob and Cleo joined · Dan left"]);
});

test("whoever comes and goes at once is no news", () => {
  assert.deepEqual(drawn({ items: [came([BOB], [], "n1"), came([], [BOB], "n2")] }), []);
});

test("long lists of names are cut", () => {
  assert.equal(names([BOB, CLEO, ANN]), "Bob, Cleo and Ann");
  assert.equal(names([BOB, CLEO, ANN, ANN]), "Bob, Cleo and 2 others");
});

test("what is missing is said, and why", () => {
  const gap = (reason, count) => drawn({ items: [{ kind: "gap", key: "g", reason, count }] })[0].text;
  assert.equal(gap("trimmed", 33), "33 messages in between are no longer kept");
  assert.equal(gap("epoch", 0), "The room began anew here");
  assert.equal(gap("ahead", 0), "The server lost its newest messages here");
});

test("new messages begin under a line of their own", () => {
  const items = [said(BOB, 0), said(BOB, 1)];
  assert.deepEqual(
    drawn({ items, marker: "b2/m1" }).map(({ kind }) => kind),
    ["day", "message", "marker", "message"],
  );
});

test("what programs send is shown as what it is", () => {
  const data = { ...said(BOB, 0), text: undefined, data: { a: 1 } };
  const binary = { ...said(BOB, 1), text: undefined, binary: "AAAA" };
  assert.deepEqual(
    messages({ items: [data, binary] }).map(({ text }) => text),
    ['{"a":1}', "[3 bytes]"],
  );
});

test("why a message was not sent is said in words", () => {
  const problem = (reason) =>
    messages({
      entries: [{ id: "m9", text: "😀".repeat(4_120), at: NOON, state: "failed", reason }],
    })[0].problem;
  assert.equal(problem("lost"), "Not sent: connection lost.");
  assert.equal(problem("too_long"), "Not sent: too long (4,120 of 4,000).");
  assert.equal(problem("forbidden"), "Not sent: you may read here, but not write.");
  assert.equal(problem("malformed"), "Not sent: the server refused it.");
});
