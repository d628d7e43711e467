// FastAPI's tutorial client, for comparison: one socket without a subprotocol, and its lines as they come.

import { element } from "./element.js";
import { BrowserStorage } from "./storage.js";

const KEPT = 500; // lines
const AT_BOTTOM = 64; // pixels

const $ = (id) => document.getElementById(id);

let socket = null;

const asked = new URLSearchParams(location.search).get("room");
if (asked) $("item").value = asked;
document.documentElement.dataset.theme = new BrowserStorage(() => localStorage).get("chat.theme") ?? "auto";

$("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  connect($("item").value.trim(), $("token").value);
});
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  say($("message"));
});

function connect(item, token) {
  if (socket !== null) leave();
  const address = new URL(`/items/${encodeURIComponent(item)}/ws`, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  if (token) address.searchParams.set("token", token); // without one the session cookie has to do
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => tell(`Connected to ${item}`);
  socket.onmessage = ({ data }) => show(typeof data === "string" ? data : `[${data.byteLength} bytes]`);
  socket.onclose = ({ code, reason }) => {
    tell(`Not connected: closed with ${code}${reason && `, ${reason}`}`);
    socket = null;
  };
  tell("Connecting…");
}

// A closed socket would still report its end, after the next one has begun.
function leave() {
  socket.onclose = null;
  socket.close();
}

function say(field) {
  if (socket?.readyState !== WebSocket.OPEN) {
    tell("Not connected. Press Connect first.");
    return;
  }
  socket.send(field.value);
  field.value = "";
  field.focus();
}

function show(line) {
  const log = $("log");
  const atBottom = log.scrollHeight - log.clientHeight - log.scrollTop <= AT_BOTTOM;
  $("lines").append(element("li", { dir: "auto" }, line));
  if ($("lines").childElementCount > KEPT) $("lines").firstChild.remove();
  if (atBottom) log.scrollTop = log.scrollHeight;
}

function tell(state) {
  $("state").textContent = state;
}
