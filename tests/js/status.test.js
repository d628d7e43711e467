import assert from "node:assert/strict";
import { test } from "node:test";

import { bannerFor, chipFor } from "../../static/js/status.js";

const NOW = 1_000_000;
const text = (change) =>
  bannerFor({
    state: "waiting",
    cause: "lost",
    room: "foo",
    retryAt: null,
    downFor: 6_000,
    online: true,
    now: NOW,
    ...change,
  })?.text ?? null;

test("a blip of less than five seconds raises no banner", () => {
  assert.equal(text({ downFor: 4_999 }), null);
  assert.equal(text({ downFor: 5_000 }), "Connection lost. Retrying…");
});

test("the banner counts down only what is worth waiting for", () => {
  assert.equal(text({ retryAt: NOW + 8_000 }), "Connection lost. Retrying in 8 s…");
  assert.equal(text({ retryAt: NOW + 3_000 }), "Connection lost. Retrying…");
});

test("each reason has its own sentence", () => {
  assert.equal(text({ cause: "restart" }), "The server is restarting – back in a moment.");
  assert.equal(text({ cause: "busy" }), "The server is busy. Retrying…");
  assert.equal(text({ cause: "stalled" }), "You fell behind; catching up…");
  assert.equal(text({ online: false }), "You’re offline. Messages will be sent when you’re back.");
  assert.equal(text({ downFor: 200_000 }), "Still can’t reach the server. Your unsent messages are kept in this tab.");
  assert.equal(text({ state: "signed-out", turnedAway: true }), "Your sign-in has expired.");
  assert.match(text({ blocked: true }), /^The server is there, but something on the way/);
  assert.equal(text({ state: "refused", code: 4403, cause: "no" }), "You don’t have access to #foo.");
  assert.equal(text({ state: "refused", code: 4400, cause: "no" }), "There can be no room called “foo”.");
  assert.match(text({ state: "too-many-tabs" }), /^#foo is open in too many tabs\./);
  assert.equal(text({ state: "live", degraded: true }), "Messages from others may be delayed.");
  assert.equal(text({ state: "live", outdated: true }), "This page is out of date.");
});

test("live needs no banner, and the chip says under which name", () => {
  assert.equal(text({ state: "live" }), null);
  const { text: short, detail } = chipFor({ state: "live", name: "Ann", online: true });
  assert.equal(short + detail, "Connected as Ann");
});

test("the chip changes at once", () => {
  assert.equal(chipFor({ state: "waiting", cause: "lost", online: true }).text, "Reconnecting…");
  assert.equal(chipFor({ state: "connecting", cause: null, online: true }).text, "Connecting…");
  assert.equal(chipFor({ state: "waiting", cause: "lost", online: false }).text, "You’re offline");
});
