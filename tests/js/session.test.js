import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { needs } from "../../static/js/credential_fields.js";
import { Session } from "../../static/js/session.js";

const NOBODY = { mode: "signed", guests: true, user: null, expires: null, version: "1.0" };
const LONGER = { ...NOBODY, user: { id: "guest-1", name: "Ann" }, expires: "2026-11-28T10:00:00.000Z" };
const GUEST = { ...NOBODY, user: { id: "guest-1", name: "Ann" }, expires: "2026-11-21T10:00:00.000Z" };

let asked, answers, session;

beforeEach(() => {
  asked = [];
  answers = [];
  session = new Session({
    fetch: async (path, { method, body }) => {
      asked.push(`${method} ${path} ${body ?? ""}`.trim());
      const [status, said] = answers.shift() ?? [200, NOBODY];
      if (status === 0) throw new TypeError("Failed to fetch");
      return { ok: status < 300, status, json: async () => said };
    },
  });
});

test("what the server says of itself and of this browser is known afterwards", async () => {
  answers = [[200, GUEST]];
  assert.equal(await session.look(), true);
  assert.deepEqual(session.user, { id: "guest-1", name: "Ann" });
  assert.equal(session.expires, Date.parse("2026-11-21T10:00:00Z"));
  assert.equal(session.version, "1.0");
});

test("a server that does not answer changes nothing that was known", async () => {
  answers = [[200, GUEST], [0], [500]];
  await session.look();
  assert.equal(await session.look(), false);
  assert.equal(await session.look(), false);
  assert.equal(session.user.name, "Ann");
});

test("a server without these routes is an open one", async () => {
  answers = [[404]];
  await session.look();
  assert.equal(session.isEnough, true);
  assert.equal(session.isCookie, false);
});

test("a refusal says what to do, and which field it is about", async () => {
  const refusals = [
    [401, { token: "t" }, "token", "This token is not valid, or it has expired."],
    [403, { name: "Ann" }, "token", "A name is not enough here. Use a token."],
    [422, { name: "\u200b" }, "name", "This name cannot be shown. Choose another one."],
    [503, { token: "t" }, null, "The server cannot check this right now. Try again in a moment."],
    [0, { token: "t" }, null, "The server can’t be reached. Try again in a moment."],
  ];
  for (const [status, credential, field, message] of refusals) {
    answers = [[status]];
    await assert.rejects(session.signIn(credential), { field, message });
  }
});

test("a browser that keeps no cookies is told so, instead of being asked again and again", async () => {
  answers = [
    [201, GUEST],
    [200, NOBODY],
  ];
  await assert.rejects(session.signIn({ name: "Ann" }), { field: null, message: /^This browser keeps no cookies/ });
});

test("who could not be signed out is still signed in", async () => {
  answers = [[200, GUEST], [0]];
  await session.look();
  await assert.rejects(session.signOut());
  assert.equal(session.user.name, "Ann");
  answers = [[204]];
  await session.signOut();
  assert.equal(session.user, null);
});

test("a guest's session is made longer before a token is asked for that would end with it", async () => {
  answers = [
    [200, GUEST],
    [201, LONGER],
    [200, LONGER],
    [201, { token: "t" }],
    [201, { token: "u" }],
  ];
  await session.look();
  assert.deepEqual(await session.token({ needed: Date.parse(GUEST.expires) }), { token: "t" });
  assert.deepEqual(asked.slice(1), ['POST /session {"name":"Ann"}', "GET /session", "POST /tokens"]);
  await session.token({ needed: Date.parse(GUEST.expires) });
  assert.equal(asked.at(-2), "POST /tokens");
});

test("what has to be entered follows from how people get in", () => {
  const user = { id: "u", name: "Ann" };
  assert.deepEqual(needs({ mode: "open", guests: false, user: null }), { name: true, always: true, token: false });
  assert.deepEqual(needs({ mode: "signed", guests: true, user: null }), { name: true, always: false, token: false });
  assert.deepEqual(needs({ mode: "signed", guests: false, user: null }), { name: false, always: false, token: true });
  assert.deepEqual(needs({ mode: "signed", guests: true, user }), { name: false, always: false, token: false });
});
