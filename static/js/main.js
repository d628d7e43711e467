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
import { messagesRequest } from "./protocol.js";
import { Rail } from "./rail.js";
import { Renewal } from "./renewal.js";
import { RoomView } from "./room.js";
import { roomProblem } from "./room_name.js";
import { Rooms } from "./rooms.js";
import { Session } from "./session.js";
import { Share } from "./share.js";
import { Sound } from "./sound.js";
import { BrowserStorage } from "./storage.js";
import { followTheme } from "./theme.js";
import { Turn } from "./turn.js";
import { followKeyboard } from "./viewport.js";

const LOOK_AROUND = 20_000; // ms between two looks into the other rooms
const SPREAD = 10_000; // ms within which the pages that lost a server ask which version the next one has
const SIGNED = "chat.signed"; // where a tab tells the others that somebody signed in or out

const $ = (id) => document.getElementById(id);

const clock = {
  now: () => Date.now(),
  setTimeout: (action, ms) => setTimeout(action, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};
const shared = new BrowserStorage(() => localStorage); // by all tabs
const own = new BrowserStorage(() => sessionStorage); // of this tab

const session = new Session({ fetch: (...request) => fetch(...request) });
const identity = new Identity(own);
const rooms = new Rooms(shared);
const announcer = new Announcer({
  status: $("announcer"),
  alert: $("alarm"),
  line: (text) => element("p", {}, text),
  clock,
});
const turn = new Turn(navigator.locks);
const sound = new Sound({ box: $("sound"), storage: shared, clock });
const notifier = new Notifier({ box: $("notify"), note: $("notify-note"), storage: shared });
const drawer = new Drawer($("drawer"), $("close-drawer"));
const share = new Share(
  { buttons: [$("share"), $("share-in-menu")], popover: $("link"), field: $("link-address") },
  { announce: (text) => announcer.say(text) },
);
const otherRooms = new OtherRooms({ newest, changed: drawRail });
const renewal = new Renewal({ renew, clock });
const form = new JoinForm($("join-form"), { actions: { join, signOut } });
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
    side: $("side"),
    chip: $("chip"),
    banner: $("banner"),
    bannerText: $("banner-text"),
    bannerAction: $("banner-action"),
    failures: $("failures"),
    failuresText: $("failures-text"),
    retryAll: $("retry-all"),
    discardAll: $("discard-all"),
    pill: { pill: $("pill"), text: $("pill-text") },
    signIn: { dialog: $("sign-in"), text: $("sign-in-text"), leave: $("sign-in-leave") },
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
    drafts: new Drafts(() => (identity.token || session.isCookie ? shared : own)),
    actions: { leave, signIn, signOut, askToSignIn, read },
  },
);
let conversation = null;
let insisted = false; // went back in with what the server had just refused: once, somebody may have renewed it
let loaded = null; // the version of the server that this page is from

followTheme($("theme"), { storage: shared, bars: [...document.querySelectorAll("meta[name=theme-color]")] });
followKeyboard(visualViewport, document.documentElement);
wireControls();
wireWorld();
await session.look();
loaded = session.version;
follow();

function wireControls() {
  $("change-room").addEventListener("click", leave);
  $("sign-out").addEventListener("click", signOut);
  $("menu").addEventListener("beforetoggle", drawSignOut);
  for (const id of ["share", "share-in-menu"]) {
    $(id).addEventListener("click", () => share.offer(new URL(roomLink(identity.room), location.href).href));
  }
  $("open-rooms").addEventListener("click", () => drawer.open($("rail"), { label: "Rooms", side: "left" }));
  $("open-people").addEventListener("click", () => drawer.open($("people"), { label: "People", side: "right" }));
}

function wireWorld() {
  addEventListener("popstate", () => follow());
  addEventListener("pagehide", () => {
    view.saveDraft();
    conversation?.leave();
  });
  addEventListener("pageshow", ({ persisted }) => persisted && conversation?.open());
  addEventListener("storage", ({ key }) => (key === SIGNED ? signedElsewhere() : readElsewhere()));
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
  const wasThere = room !== "" && (room === identity.room || conversation !== null) && !roomProblem(room);
  if (wasThere && session.isEnough) enter(room);
  else askWhere(room, { notice: wasThere ? whyAsk() : "" });
}

async function join({ room, ...who }) {
  await become(who);
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
  turn.enter(room);
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

function askWhere(room, { notice = "" } = {}) {
  close();
  identity.update({ room: null });
  for (const popover of document.querySelectorAll("[popover]:popover-open")) popover.hidePopover();
  $("join").hidden = false;
  $("room").hidden = true;
  form.show({ room, name: identity.name, token: identity.token, session, notice });
}

function close() {
  if (conversation === null) return;
  renewal.stop();
  turn.leave();
  view.leave();
  conversation.leave();
  conversation = null;
}

// --- one conversation ---

function converse(room) {
  const key = outboxKey(room);
  return new Conversation({
    room,
    credentials,
    base: location.href,
    listener: {
      changed: () => view.changed(),
      welcomed,
      signedOut,
      unreachable,
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
  const { me, room, expires, reconnects } = conversation;
  insisted = false;
  renewal.follow(expires);
  if (reconnects > 0) setTimeout(compareVersions, Math.random() * SPREAD);
  if (me.id !== identity.user) identity.update({ user: me.id });
  otherRooms.entered(room);
  drawRail();
  lookAround();
}

function arrived(message, { mine, replayed }) {
  if (mine || replayed) return;
  announcer.message(message);
  if (!document.hidden || !turn.isOurs) return;
  notifier.message(conversation.room, message);
  sound.message();
}

async function compareVersions() {
  await session.look();
  view.outdated ||= session.version !== loaded;
  view.changed();
}

// The connection has never been there. If the server answers otherwise, it is something on the way.
async function unreachable() {
  const current = conversation;
  current.blocked = (await session.look()) && current.me === null;
  view.changed();
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

// --- who am I? ---

// The browser's cookie comes first, on the server too. Without one it is this tab's own word.
function credentials() {
  return { name: identity.name, token: session.isCookie ? "" : identity.token || identity.made };
}

// Signs in the browser if that is what counts here; else the tab is somebody by itself. Rejects with `Refused`.
async function become({ name, token }) {
  if (session.isCookie && (token || session.user === null)) {
    await session.signIn(token ? { token } : { name });
    shared.set(SIGNED, clock.now());
  }
  const user = session.isCookie ? session.user.id : token === identity.token ? identity.user : null;
  identity.update({ name: name || (session.user?.name ?? ""), token: session.isCookie ? "" : token, user });
}

async function signIn(who) {
  await become(who);
  conversation.open();
}

// The server takes our credential no longer.
async function signedOut() {
  const current = conversation;
  await session.look();
  if (conversation !== current || current.socket.state !== "signed-out") return;
  if (session.isEnough && !insisted) {
    insisted = true;
    current.open();
  } else if (current.me === null) {
    askWhere(current.room, { notice: whyAsk() });
  } else {
    askToSignIn();
  }
}

function askToSignIn() {
  conversation.turnedAway = true;
  view.changed();
  view.signIn.open({ session, name: identity.name });
}

function whyAsk() {
  if (identity.user === null) return `This server asks for a ${session.guests ? "name" : "token"}.`;
  return `Your sign-in has expired. Enter a ${session.guests ? "name" : "token"} to go on.`;
}

async function signOut() {
  try {
    await session.signOut();
  } catch (refused) {
    $("sign-out-problem").textContent = `You are still signed in. ${refused.message}`;
    return;
  }
  shared.set(SIGNED, clock.now());
  forgetWho("You are signed out.");
}

// In another tab somebody signed in or out. The tabs of a browser are one person where its cookie counts.
async function signedElsewhere() {
  const before = session.user?.id;
  await session.look();
  if (session.user?.id === before) return;
  if (conversation === null) form.update(session);
  else if (session.user === null) forgetWho("You signed out in another tab.");
  else askWhere(conversation.room, { notice: `This browser is now signed in as ${session.user.name}.` });
}

// What was not sent yet goes as well: it is nobody's business who signs in next.
function forgetWho(notice) {
  const room = conversation?.room ?? form.room.value;
  close();
  for (const name of rooms.names) own.set(outboxKey(name), null);
  identity.update({ name: "", token: "", user: null });
  askWhere(room, { notice });
}

// Resolves to the new end of this connection's credential.
async function renew() {
  const { token } = await session.token({ needed: conversation.expires });
  return conversation.refresh(token);
}

function drawSignOut() {
  $("sign-out").hidden = session.user === null;
  $("sign-out-problem").textContent = "";
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
  const { address, headers } = messagesRequest(location.href, { room, ...credentials(), limit: 1 });
  const answer = await fetch(address, { headers });
  if (answer.ok) return answer.json();
  return answer.status === 404 ? null : undefined;
}

function forget(room) {
  rooms.forget(room);
  drawRail();
}

function outboxKey(room) {
  return `chat.outbox:${room}`;
}

function roomLink(room) {
  return `/?room=${encodeURIComponent(room)}`;
}
