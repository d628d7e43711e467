import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { RoomSocket } from "../../static/js/socket.js";
import { SteppedClock, recordingWebSocket, welcome } from "./doubles.js";

let clock, WebSocket, socket, heard, states;

beforeEach(() => {
  clock = new SteppedClock();
  WebSocket = recordingWebSocket();
  heard = [];
  states = [];
  socket = new RoomSocket({
    address: () => "ws://chat.example/items/foo/ws",
    protocols: () => ["chat.v1", "bearer.secret"],
    listener: { received: (event) => heard.push(event.type), changed: () => states.push(socket.state) },
    WebSocket,
    clock,
    random: () => 0.5,
  });
});

function goLive() {
  socket.open();
  WebSocket.last.says(welcome(), { type: "pong" });
  socket.settle();
}

describe("connecting", () => {
  test("goes from connecting through catching-up to live", () => {
    goLive();
    assert.deepEqual([...new Set(states)], ["connecting", "catching-up", "live"]);
    assert.deepEqual(WebSocket.last.protocols, ["chat.v1", "bearer.secret"]);
  });

  test("a path that never answers is abandoned after 8 seconds", () => {
    socket.open();
    clock.advance(8_000);
    assert.equal(socket.state, "waiting");
    assert.equal(WebSocket.last.onmessage, null);
  });

  test("a server that replays nothing leaves nobody catching up for ever", () => {
    socket.open();
    WebSocket.last.says(welcome({ offset: 9 }), { type: "pong" });
    clock.advance(3_000);
    assert.equal(socket.state, "live");
  });

  test("nothing is sent before the welcome", () => {
    socket.open();
    assert.equal(socket.send({ type: "ping" }), false);
    assert.deepEqual(WebSocket.last.sent, []);
  });
});

describe("losing the connection", () => {
  test("the next attempt comes by itself", () => {
    goLive();
    WebSocket.last.ends(1006);
    assert.equal(socket.state, "waiting");
    clock.advance(900);
    assert.equal(socket.state, "connecting");
    assert.equal(WebSocket.opened.length, 2);
  });

  test("attempts that fail grow apart", () => {
    socket.open();
    const waits = [0, 1, 2, 3].map(() => {
      WebSocket.last.ends();
      const wait = socket.retryAt - clock.now();
      clock.advance(wait);
      return wait;
    });
    assert.deepEqual(waits, [900, 1_500, 3_000, 6_000]);
  });

  test("five seconds of being live make the next attempt quick again", () => {
    for (const lasting of [0, 5_000]) {
      socket.open();
      WebSocket.last.ends();
      clock.advance(900);
      WebSocket.last.says(welcome(), { type: "pong" });
      socket.settle();
      clock.advance(lasting);
      WebSocket.last.ends();
      assert.equal(socket.retryAt - clock.now(), lasting ? 900 : 1_500);
      socket.close();
    }
  });

  test("frames of an abandoned socket are not heard", () => {
    goLive();
    const old = WebSocket.last;
    const { onmessage } = old;
    socket.suspect();
    old.says(welcome());
    assert.ok(onmessage !== null && old.onmessage === null);
    assert.deepEqual(heard, ["welcome", "pong"]);
  });

  test("a draining server's own delay is kept", () => {
    goLive();
    WebSocket.last.says({ type: "draining", retry_ms: 4_000 });
    clock.advance(1_000);
    WebSocket.last.ends(1012);
    assert.equal(socket.cause, "restart");
    assert.equal(socket.retryAt - clock.now(), 3_000);
  });

  test("a restart stays the reason while attempts fail", () => {
    goLive();
    WebSocket.last.ends(1012);
    clock.advance(900);
    WebSocket.last.ends(1006);
    assert.equal(socket.cause, "restart");
  });

  for (const [code, state] of [
    [4401, "signed-out"],
    [4403, "refused"],
    [4400, "refused"],
  ]) {
    test(`close code ${code} ends in ${state}, until somebody acts`, () => {
      socket.open();
      WebSocket.last.ends(code, "a sentence");
      clock.advance(3_600_000);
      assert.equal(socket.state, state);
      assert.equal(socket.cause, "a sentence");
      assert.equal(clock.waiting, 0);
    });
  }

  test("close code 4408 is too many tabs, until half a minute has passed", () => {
    socket.open();
    WebSocket.last.ends(4408, "a sentence");
    assert.equal(socket.state, "too-many-tabs");
    assert.equal(socket.cause, "a sentence");
    clock.advance(14_000);
    assert.equal(socket.state, "too-many-tabs");
    clock.advance(16_000);
    assert.equal(socket.state, "connecting");
  });

  test("closing leaves no timer behind", () => {
    goLive();
    socket.close();
    assert.equal(WebSocket.last.closed, 1000);
    assert.equal(clock.waiting, 0);
    assert.equal(socket.state, "idle");
  });
});

describe("waking", () => {
  test("a waiting socket tries at once", () => {
    goLive();
    clock.advance(60_000);
    WebSocket.last.ends();
    socket.wake();
    clock.advance(0);
    assert.equal(socket.state, "connecting");
  });

  test("but not more than once a second", () => {
    socket.open();
    WebSocket.last.ends();
    clock.advance(900);
    WebSocket.last.ends();
    socket.wake();
    clock.advance(999);
    assert.equal(WebSocket.opened.length, 2);
    clock.advance(1);
    assert.equal(WebSocket.opened.length, 3);
  });

  test("a socket that looks open must answer within 3 seconds", () => {
    goLive();
    socket.wake();
    clock.advance(3_000);
    assert.equal(socket.state, "waiting");
  });

  test("a machine that slept is noticed by a late tick", () => {
    goLive();
    clock.sleep(600_000);
    const pings = WebSocket.last.sentOf("ping").length;
    clock.advance(0);
    assert.equal(WebSocket.last.sentOf("ping").length, pings + 1);
    clock.advance(3_000);
    assert.equal(socket.state, "waiting");
  });
});

describe("the heartbeat", () => {
  test("pings after 25 seconds of silence, and gives up 8 seconds later", () => {
    goLive();
    const pings = () => WebSocket.last.sentOf("ping").length;
    const before = pings();
    clock.advance(24_000);
    assert.equal(pings(), before);
    clock.advance(1_000);
    assert.equal(pings(), before + 1);
    clock.advance(8_000);
    assert.equal(socket.state, "waiting");
  });

  test("any frame will do as a sign of life", () => {
    goLive();
    clock.advance(25_000);
    WebSocket.last.says({ type: "message" });
    clock.advance(10_000);
    assert.equal(socket.state, "live");
  });

  test("a deadline that fires late asks again instead of giving up", () => {
    goLive();
    clock.advance(25_000);
    clock.sleep(60_000);
    clock.advance(0);
    assert.equal(socket.state, "live");
    WebSocket.last.says({ type: "pong" });
    clock.advance(5_000);
    assert.equal(socket.state, "live");
  });

  test("the pong tells the latency", () => {
    goLive();
    socket.wake();
    clock.advance(42);
    WebSocket.last.says({ type: "pong" });
    assert.equal(socket.latency, 42);
  });
});
