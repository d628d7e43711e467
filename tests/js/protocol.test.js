import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, messagesRequest, offered, roomAddress, stopAfter } from "../../static/js/protocol.js";

test("what is no event is ignored", () => {
  for (const frame of ["", "{", "[]", "null", "3", '{"type":1}', new ArrayBuffer(1)]) assert.equal(decode(frame), null);
});

test("an event is returned with what nobody knows yet", () => {
  assert.deepEqual(decode('{"type":"later","x":1}'), { type: "later", x: 1 });
});

test("a room's address carries everything encoded, and resumes where it is told to", () => {
  const since = { epoch: "e1", offset: 7 };
  assert.equal(
    roomAddress("https://chat.example/?room=x", { room: "café:1", name: "A & B", token: "t/=", since }),
    "wss://chat.example/items/caf%C3%A9%3A1/ws?token=t%2F%3D&name=A+%26+B&since=e1%3A7",
  );
});

test("a token goes beside the address if it can, and into it only if it cannot", () => {
  const plain = { room: "foo", name: "", token: "eyJhbGci.eyJz-_.c2ln" };
  assert.deepEqual(offered(plain.token), ["chat.v1", `bearer.${plain.token}`]);
  assert.equal(roomAddress("http://chat.example/", plain), "ws://chat.example/items/foo/ws");
  assert.deepEqual(messagesRequest("http://chat.example/", { ...plain, limit: 1 }), {
    address: "http://chat.example/items/foo/messages?limit=1",
    headers: { Authorization: `Bearer ${plain.token}` },
  });
  for (const token of ["two words", "a/b=", "schlüssel", ""]) assert.deepEqual(offered(token), ["chat.v1"]);
  assert.match(roomAddress("http://chat.example/", { ...plain, token: "a/b=" }), /\?token=a%2Fb%3D$/);
});

test("a page without TLS uses a socket without TLS", () => {
  assert.match(roomAddress("http://127.0.0.1:8000/", { room: "foo" }), /^ws:\/\/127\.0\.0\.1:8000\/items\/foo\/ws$/);
});

test("only refusals that will not change by themselves stop the page", () => {
  const stopping = [1008, 4400, 4401, 4403, 4408, 4413];
  assert.ok(stopping.every((code) => stopAfter(code) !== null));
  assert.ok([1000, 1001, 1006, 1011, 1012, 4409, 4429, 4503].every((code) => stopAfter(code) === null));
});
