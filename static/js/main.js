// Starts the page and wires its parts: the join form, one conversation at a time, the address bar.

import { Announcer } from "./announce.js";
import { Badge } from "./badge.js";
import { Conversation } from "./conversation.js";
import { Drafts } from "./drafts.js";
import { Drawer } from "./drawer.js";
import { element } from "./element.js";
import { formats } from "./format.js";
import { Identity, randomId } from "./identity.js";
import { JoinForm } from "./join.js";
import { Notifier } from "./notify.js";
import { OtherRooms } from "./other_rooms.js";
import { messagesAddress } from "./protocol.js";
import { Rail } from "./rail.js";
import { RoomView } from "./room.js";
import { roomProblem } from "./room_name.js";
import { Rooms } from "./rooms.js";
import { Share } from "./share.js";
import { BrowserStorage } from "./storage.js";
import { followTheme } from "./theme.js";
import { followKeyboard } from "./viewport.js";

const LOOK_AROUND = 20_000; // ms between two looks into the other rooms

const $ = (id) => document.getElementById(id);

const clock = {
  now: () => Date.now(),
  setTimeout: (action, ms) => setTimeout(action, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};
const shared = new BrowserStorage(() => localStorage); // by all tabs
const own = new BrowserStorage(() => sessionStorage); // of this tab

const identity = new Identity(own);
const rooms = new Rooms(shared);
const announcer = new Announcer({
  status: $("announcer"),
  alert: $("alarm"),
  line: (text) => element("p", {}, text),
  clock,
});
const notifier = new Notifier({ box: $("notify"), note: $("notify-note"), storage: shared });
const drawer = new Drawer($("drawer"), $("close-drawer"));
const share = new Share(
  { buttons: [$("share"), $("share-in-menu")], popover: $("link"), field: $("link-address") },
  { announce: (text) => announcer.say(text) },
);
const otherRooms = new OtherRooms({ newest, changed: drawRail });
const form = new JoinForm($("join-form"), { join });
const rail = new Rail(
  { list: $("rooms"), form: $("other-room"), me: $("me"), dot: $("rooms-badge") },
  { actions: { go, forget }, link: roomLink },
);
const view = new RoomView(
  {
    list: $("messages"),
    log: $("log"),
    empty: $("empty"),
    skeleton: $("skeleton"),
    composer: $("composer"),
    counter: $("composer-count"),
    title: $("room-title"),
    chip: $("chip"),
    banner: $("banner"),
    bannerText: $("banner-text"),
    bannerAction: $("banner-action"),
    failures: $("failures"),
    failuresText: $("failures-text"),
    retryAll: $("retry-all"),
    discardAll: $("discard-all"),
    pill: { pill: $("pill"), text: $("pill-text") },
    signIn: { dialog: $("sign-in"), title: $("sign-in-title"), field: $("sign-in-token"), leave: $("sign-in-leave") },
    inspector: { panel: $("inspector"), facts: $("inspector-facts") },
    people: {
      panel: $("people"),
      title: $("people-title"),
      note: $("people-note"),
      list: $("people-list"),
      typing: $("typing"),
      open: $("open-people"),
      openCount: $("people-count"),
    },
  },
  {
    formats: formats(undefined),
    announcer,
    badge: new Badge({ icon: document.querySelector("link[rel=icon]") }),
    drafts: new Drafts(() => (identity.token ? shared : own)),
    actions: { leave, signIn, read },
  },
);
let conversation = null;

followTheme($("theme"), shared);
followKeyboard(visualViewport, document.documentElement);
wireControls();
wireWorld();
follow();

function wireControls() {
  $("change-room").addEventListener("click", leave);
  for (const id of ["share", "share-in-menu"]) {
    $(id).addEventListener("click", () => share.offer(new URL(roomLink(identity.room), location.href).href));
  }
  $("open-rooms").addEventListener("click", () => drawer.open($("rail"), { label: "Rooms", side: "left" }));
  $("open-people").addEventListener("click", () => drawer.open($("people"), { label: "People", side: "right" }));
}

function wireWorld() {
  addEventListener("popstate", follow);
  addEventListener("pagehide", () => {
    view.saveDraft();
    conversation?.leave();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && conversation?.open());
  addEventListener("storage", readElsewhere);
  for (const [target, event] of [
    [window, "online"],
    [window, "offline"],
    [document, "resume"],
    [document, "visibilitychange"],
  ]) {
    target.addEventListener(event, wake);
  }
  setInterval(lookAround, LOOK_AROUND);
}

function wake() {
  if (document.hidden) view.saveDraft();
  else conversation?.socket.wake();
  view.changed();
  lookAround();
}

// --- where am I? ---

// Shows what the address bar says. A reloaded tab is back in its room without being asked.
function follow() {
  const room = new URLSearchParams(location.search).get("room") ?? "";
  if (room && (room === identity.room || conversation !== null) && !roomProblem(room)) enter(room);
  else askWhere(room);
}

function join({ room, name, token }) {
  if (token !== identity.token) identity.update({ user: null });
  identity.update({ name, token });
  go(room);
}

function go(room) {
  if (room === identity.room) {
    drawer.close();
    return;
  }
  history.pushState(null, "", roomLink(room));
  enter(room);
}

function enter(room) {
  drawer.close();
  close();
  identity.update({ room });
  rooms.visit(room, clock.now());
  $("join").hidden = true;
  $("room").hidden = false;
  $("another-tab").href = roomLink(room);
  conversation = converse(room);
  view.enter(conversation, { user: identity.user });
  conversation.open();
  drawRail();
}

function leave() {
  const { room } = identity;
  history.pushState(null, "", "/");
  askWhere(room);
}

function askWhere(room) {
  close();
  identity.update({ room: null });
  for (const popover of document.querySelectorAll("[popover]:popover-open")) popover.hidePopover();
  $("join").hidden = false;
  $("room").hidden = true;
  form.show({ room, name: identity.name, token: identity.token });
}

function close() {
  if (conversation === null) return;
  view.leave();
  conversation.leave();
  conversation = null;
}

// --- one conversation ---

function converse(room) {
  const key = `chat.outbox:${room}`;
  return new Conversation({
    room,
    credentials: () => identity.credentials,
    base: location.href,
    listener: {
      changed: () => view.changed(),
      welcomed,
      arrived,
      tooFast: () => view.tooFast(),
      caughtUp: (missed) => view.caughtUp(missed),
    },
    lastRead: identity.user && rooms.lastRead(room, identity.user),
    WebSocket,
    clock,
    random: Math.random,
    makeId: randomId,
    storage: { load: () => own.get(key), save: (entries) => own.set(key, entries) },
  });
}

function welcomed() {
  const { me, room } = conversation;
  if (me.id !== identity.user) identity.update({ user: me.id });
  otherRooms.entered(room);
  drawRail();
  lookAround();
}

function arrived(message, { mine, replayed }) {
  if (mine || replayed) return;
  announcer.message(message);
  notifier.message(conversation.room, message);
}

function signIn(token) {
  identity.update({ token, user: null });
  conversation.open();
}

function read({ room, me, store }) {
  if (me && store.epoch !== null) rooms.markRead(room, me.id, store.position);
}

// Another tab visited a room, or read further.
function readElsewhere() {
  rooms.refresh();
  drawRail();
  if (!conversation?.me) return;
  const { room, me, store, unread } = conversation;
  const read = rooms.lastRead(room, me.id);
  if (read?.epoch === store.epoch && read.offset >= store.offset) unread.seen();
  view.changed();
}

// --- the other rooms ---

function drawRail() {
  if (conversation === null) return;
  const me = conversation.me ?? { id: identity.user ?? "", name: identity.name };
  rail.render({ rooms: rooms.names, room: identity.room, me, unread: otherRooms.unread });
}

function lookAround() {
  if (conversation === null || document.hidden || !identity.user) return;
  const others = rooms.names.filter((room) => room !== identity.room);
  otherRooms.look(
    others.map((room) => ({ room, read: rooms.lastRead(room, identity.user) })).filter(({ read }) => read),
  );
}

async function newest(room) {
  const answer = await fetch(messagesAddress(location.href, { room, ...identity.credentials, limit: 1 }));
  if (answer.ok) return answer.json();
  return answer.status === 404 ? null : undefined;
}

function forget(room) {
  rooms.forget(room);
  drawRail();
}

function roomLink(room) {
  return `/?room=${encodeURIComponent(room)}`;
}
