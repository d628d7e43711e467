// What stands in the log, line by line; pure. A row's `key` says which line it is, all else how it looks.

const GROUPED_WITHIN = 5 * 60_000;

// items: of the store; entries: of the outbox; me: {id, name} or null; formats: of format.js
export function rows({ items, entries, me, now, formats }) {
  const lines = [...items.map((item) => line(item, me)), ...entries.map((entry) => pendingLine(entry, me))];
  const result = [];
  let previous = null;
  for (const current of lines) {
    const newDay = current.at !== undefined && formats.dayKey(current.at) !== (previous?.day ?? null);
    if (newDay) result.push({ kind: "day", key: `day ${formats.dayKey(current.at)}`, text: formats.dayName(current.at, now) });
    const grouped = !newDay && belongsTo(previous?.row, current);
    result.push({ ...current, grouped });
    previous = { row: current, day: current.at === undefined ? (previous?.day ?? null) : formats.dayKey(current.at) };
  }
  return result;
}

function line(item, me) {
  if (item.kind === "gap") return { kind: "gap", key: `gap ${item.epoch} ${item.offset}`, count: item.count };
  const { user, id, text, at } = item;
  return {
    kind: "message",
    key: `${user.id}/${id}`,
    user,
    mine: user.id === me?.id,
    text: text ?? placeholder(item),
    at: Date.parse(at),
    state: "sent",
  };
}

function pendingLine({ id, text, at, state, reason }, me) {
  const user = me ?? { id: "me", name: "You" };
  return { kind: "message", key: `${user.id}/${id}`, id, user, mine: true, text, at, state, reason };
}

// Programs may send what is no text.
function placeholder({ data, binary }) {
  return data === undefined ? `[${Math.floor(((binary ?? "").length * 3) / 4)} bytes]` : JSON.stringify(data);
}

function belongsTo(previous, current) {
  return (
    previous?.kind === "message" &&
    current.kind === "message" &&
    previous.user.id === current.user.id &&
    current.at - previous.at <= GROUPED_WITHIN
  );
}
