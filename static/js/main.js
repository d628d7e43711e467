// Starts the page and wires its parts: the join form, one conversation at a time, the address bar.

import { Conversation } from "./conversation.js";
import { formats } from "./format.js";
import { Identity, randomId } from "./identity.js";
import { JoinForm } from "./join.js";
import { RoomView } from "./room.js";

const $ = (id) => document.getElementById(id);

const clock = {
  now: () => Date.now(),
  setTimeout: (action, ms) => setTimeout(action, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

const identity = new Identity(sessionStorage);
const form = new JoinForm($("join-form"), { join: ({ room, name, token }) => {
  identity.update({ name, token });
  history.pushState(null, "", roomLink(room));
  enter(room);
} });
const view = new RoomView(
  {
    list: $("messages"),
    log: $("log"),
    empty: $("empty"),
    composer: $("composer"),
    title: $("room-title"),
    chip: $("chip"),
    banner: $("banner"),
    bannerText: $("banner-text"),
    bannerAction: $("banner-action"),
  },
  { formats: formats(undefined), actions: { leave } },
);
let conversation = null;

$("change-room").addEventListener("click", leave);
addEventListener("popstate", follow);
addEventListener("pagehide", () => conversation?.leave());
addEventListener("pageshow", ({ persisted }) => persisted && follow());
for (const [target, event] of [[window, "online"], [window, "offline"], [document, "resume"], [document, "visibilitychange"]]) {
  target.addEventListener(event, () => !document.hidden && wake());
}
follow();

function wake() {
  if (navigator.onLine) conversation?.socket.wake();
  view.changed();
}

// Shows what the address bar says. A reloaded tab is back in its room without being asked.
function follow() {
  const room = new URLSearchParams(location.search).get("room") ?? "";
  if (room && room === identity.room) enter(room);
  else askWhere(room);
}

function enter(room) {
  conversation?.leave();
  identity.update({ room });
  $("join").hidden = true;
  $("room").hidden = false;
  conversation = new Conversation({
    room,
    name: identity.name,
    token: identity.credential,
    base: location.href,
    listener: { changed: () => view.changed(), arrived: () => {} },
    WebSocket,
    clock,
    random: Math.random,
    makeId: randomId,
    storage: outboxStorage(room),
  });
  view.enter(conversation);
  conversation.open();
}

function leave() {
  const room = identity.room ?? "";
  history.pushState(null, "", "/");
  askWhere(room);
}

function askWhere(room) {
  conversation?.leave();
  conversation = null;
  identity.update({ room: null });
  view.leave();
  $("join").hidden = false;
  $("room").hidden = true;
  document.title = "Broadcaster";
  form.show({ room, name: identity.name, token: identity.token });
}

function roomLink(room) {
  return `/?room=${encodeURIComponent(room)}`;
}

function outboxStorage(room) {
  const key = `chat.outbox:${room}`;
  return {
    load: () => sessionStorage.getItem(key),
    save: (saved) => (saved === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, saved)),
  };
}
