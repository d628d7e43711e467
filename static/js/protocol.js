// chat.v1 as the page speaks it: the names and codes of chat/protocol.py.

export const SUBPROTOCOL = "chat.v1";

export const CloseCode = Object.freeze({
  NORMAL: 1000,
  POLICY_VIOLATION: 1008,
  INTERNAL_ERROR: 1011,
  RESTART: 1012,
  MALFORMED: 4400,
  UNAUTHENTICATED: 4401,
  FORBIDDEN: 4403,
  TOO_MANY_CONNECTIONS: 4408,
  STALLED: 4409,
  TOO_LARGE: 4413,
  RATE_LIMITED: 4429,
  UNAVAILABLE: 4503,
});

export const ErrorCode = Object.freeze({
  MALFORMED: "malformed",
  TOO_LONG: "too_long",
  FORBIDDEN: "forbidden",
  UNAUTHENTICATED: "unauthenticated",
  UNAVAILABLE: "unavailable",
  RATE_LIMITED: "rate_limited",
});

export const publish = (id, text) => ({ type: "publish", id, text });
export const history = (range) => ({ type: "history", ...range });
export const typing = () => ({ type: "typing" });
export const refresh = (token) => ({ type: "refresh", token });
export const ping = () => ({ type: "ping" });

// Returns the event in a frame, or null for what is no event: both sides ignore what they do not know.
export function decode(frame) {
  if (typeof frame !== "string") return null;
  try {
    const event = JSON.parse(frame);
    return typeof event?.type === "string" ? event : null;
  } catch {
    return null;
  }
}

// Returns what a socket offers. A token goes this way if it can: addresses are written into logs, this is not.
export function offered(token) {
  return isBearable(token) ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
}

// Returns where a room is: `base` is the page's own address, `since` a position {epoch, offset} or null. Only a token
// that cannot be offered, as no signed one is, stands in the address.
export function roomAddress(base, { room, name, token, since }) {
  const position = since && `${since.epoch}:${since.offset}`;
  const address = itemAddress(base, room, "ws", { token: isBearable(token) ? null : token, name, since: position });
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

// Returns {address, headers}: how what was said in a room can be read without joining it.
export function messagesRequest(base, { room, name, token, limit }) {
  const isCarried = isBearable(token);
  return {
    address: itemAddress(base, room, "messages", { token: isCarried ? null : token, name, limit }).href,
    headers: isCarried ? { Authorization: `Bearer ${token}` } : {},
  };
}

// Whether a token is made of what may stand in a header and among subprotocols.
function isBearable(token) {
  return /^[\w!#$%&'*+.^`|~-]+$/u.test(token ?? "");
}

function itemAddress(base, room, what, query) {
  const address = new URL(`/items/${encodeURIComponent(room)}/${what}`, base);
  for (const [name, value] of Object.entries(query)) if (value) address.searchParams.set(name, value);
  return address;
}

const STOPS = new Map([
  [CloseCode.POLICY_VIOLATION, "signed-out"],
  [CloseCode.UNAUTHENTICATED, "signed-out"],
  [CloseCode.MALFORMED, "refused"],
  [CloseCode.FORBIDDEN, "refused"],
  [CloseCode.TOO_LARGE, "refused"],
  [CloseCode.TOO_MANY_CONNECTIONS, "too-many-tabs"],
]);

// Returns the state in which a close code leaves the page for good, or null if it should come back by itself.
export const stopAfter = (code) => STOPS.get(code) ?? null;
