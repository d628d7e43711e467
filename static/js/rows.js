// What stands in the log, line by line; pure. A row's `key` says which line it is, all else how it looks.

import { count } from "./format.js";
import { keyOf } from "./store.js";

const GROUPED_WITHIN = 5 * 60_000;

// `items` are the store's, `entries` the outbox', `older` and `newer` say what lies beyond the ends of the window,
// `limit` how many characters a message may have, `marker` is the key of the first new message.
export function rows({ items, entries, me, limit, marker, older, newer, now, formats }) {
  const pending = entries.map((entry) => pendingLine(entry, { me, limit }));
  const lines = [...fold(items).map((item) => line(item, me)), ...pending];
  const result =
    older && lines.some(({ kind }) => kind === "message") ? [{ kind: "edge", key: "older", ...older }] : [];
  let day = null;
  for (const current of lines) {
    const newDay = current.at === undefined ? day : formats.dayKey(current.at);
    if (newDay !== day) result.push({ kind: "day", key: `day ${newDay}`, text: formats.dayName(current.at, now) });
    if (current.key === marker) result.push({ kind: "marker", key: "marker" });
    result.push({ ...current, grouped: belongsTo(result.at(-1), current) });
    day = newDay;
  }
  if (newer) result.push({ kind: "edge", key: "newer", ...newer });
  return result;
}

// Comings and goings between two messages become one line.
function fold(items) {
  const result = [];
  for (const item of items) {
    const last = result.at(-1);
    if (item.kind === "notice" && last?.kind === "notice") result[result.length - 1] = merge(last, item);
    else result.push(item);
  }
  return result.filter(({ kind, joined, left }) => kind !== "notice" || joined.length + left.length > 0);
}

// Whoever came and went in between, or the other way round, is no news.
function merge(first, second) {
  const without = (users, others) => users.filter(({ id }) => !others.some((other) => other.id === id));
  return {
    ...first,
    joined: [...without(first.joined, second.left), ...without(second.joined, first.left)],
    left: [...without(first.left, second.joined), ...without(second.left, first.joined)],
  };
}

function line(item, me) {
  if (item.kind === "gap") return { kind: "gap", key: item.key, text: missing(item) };
  if (item.kind === "notice") return { kind: "notice", key: item.key, text: comings(item) };
  const { key, user, text, at } = item;
  const mine = user.id === me?.id;
  return { kind: "message", key, user, mine, text: text ?? placeholder(item), at: Date.parse(at), state: "sent" };
}

function pendingLine({ id, text, at, state, reason }, { me, limit }) {
  const user = me ?? { id: "", name: "You" };
  const problem = state === "failed" ? notSent(reason, text, limit) : null;
  return { kind: "message", key: keyOf(user, id), id, user, mine: true, text, at, state, problem };
}

function notSent(reason, text, limit) {
  if (reason === "lost") return "Not sent: connection lost.";
  if (reason === "forbidden") return "Not sent: you may read here, but not write.";
  if (reason !== "too_long") return "Not sent: the server refused it.";
  return `Not sent: too long (${[...text].length.toLocaleString()} of ${limit.toLocaleString()}).`;
}

function missing({ reason, count: n }) {
  if (reason === "epoch") return "The room began anew here";
  if (reason === "ahead") return "The server lost its newest messages here";
  return `${count(n, "message")} in between ${n === 1 ? "is" : "are"} no longer kept`;
}

// Programs may send what is no text.
function placeholder({ data, binary = "" }) {
  return data === undefined ? `[${Math.floor((binary.length * 3) / 4)} bytes]` : JSON.stringify(data);
}

function comings({ joined, left }) {
  return [joined.length && `${names(joined)} joined`, left.length && `${names(left)} left`].filter(Boolean).join(" · ");
}

// "Ann", "Ann and Bob", "Ann, Bob and 3 others"
export function names(users) {
  const [first, second, ...others] = users.map(({ name }) => name);
  if (others.length) return `${first}, ${second} and ${others.length === 1 ? others[0] : `${others.length} others`}`;
  return second === undefined ? first : `${first} and ${second}`;
}

function belongsTo(above, current) {
  return (
    above?.kind === "message" &&
    current.kind === "message" &&
    above.user.id === current.user.id &&
    current.at - above.at <= GROUPED_WITHIN
  );
}
