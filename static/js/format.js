// Times, days, numbers and names, as they are written in the page.

const MINUTE = 60_000;

export function formats(locale, timeZone) {
  const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", timeZone });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium", timeZone });
  const day = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", timeZone });
  const dayAndYear = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year: "numeric", timeZone });
  const key = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone });
  const dayKey = (at) => key.format(at);

  // "Today", "Yesterday", "Thursday, 20 November", or the date with its year.
  function dayName(at, now) {
    if (dayKey(at) === dayKey(now)) return "Today";
    if (dayKey(at) === dayKey(now - 24 * 60 * MINUTE)) return "Yesterday";
    const sameYear = dayKey(at).slice(0, 4) === dayKey(now).slice(0, 4);
    return (sameYear ? day : dayAndYear).format(at);
  }

  return { time: (at) => time.format(at), full: (at) => full.format(at), dayKey, dayName };
}

// "1 message", "2 messages"
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

// One or two letters for an avatar.
export function initials(name) {
  const words = name
    .trim()
    .split(/\s+/u)
    .map((word) => [...word][0] ?? "");
  return (words.length > 1 ? words[0] + words.at(-1) : (words[0] ?? "")).toLocaleUpperCase();
}

// A number from 0 to `hues - 1` that is the same for a person on every screen.
export function hue(id, hues) {
  let hash = 2_166_136_261; // FNV-1a, and then its bits mixed, because ids that look alike shall not
  for (const character of id) hash = Math.imul(hash ^ character.codePointAt(0), 16_777_619);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 13)) >>> 0) % hues;
}
