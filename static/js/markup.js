// What a message's text is made of: plain text, links and code; pure. Nothing else is markup.

const FENCE = /\n?```(?:[\w+-]*\n)?([\s\S]*?)\n?```\n?/u; // with the line breaks around it: a block stands alone
const CODE = /`([^`\n]+)`/u;
const LINK = /https?:\/\/[^\s<>"`]+/iu;
const TRAILING = /[.,;:!?'"*_]+$/u;
const CLOSERS = { ")": "(", "]": "[", "}": "{" };

// Returns parts {kind: "text" | "link" | "code" | "block", text, href?}.
export function parse(text) {
  return split(text, FENCE, "block").flatMap((outer) =>
    outer.kind !== "text"
      ? [outer]
      : split(outer.text, CODE, "code").flatMap((inner) => (inner.kind === "text" ? links(inner.text) : [inner])),
  );
}

// One to three emoji and nothing else are shown larger.
export function isOnlyEmoji(text) {
  const graphemes = Array.from(new Intl.Segmenter().segment(text.replace(/\s/gu, "")), ({ segment }) => segment);
  return graphemes.length >= 1 && graphemes.length <= 3 && graphemes.every((one) => EMOJI.test(one));
}

const EMOJI = /^(?=.*[\p{Emoji_Presentation}\p{Regional_Indicator}\u{FE0F}])[\p{Emoji}\p{Emoji_Component}]+$/u;

function split(text, pattern, kind) {
  const parts = [];
  let rest = text;
  for (let match = pattern.exec(rest); match; match = pattern.exec(rest)) {
    if (match.index > 0) parts.push({ kind: "text", text: rest.slice(0, match.index) });
    parts.push({ kind, text: match[1] });
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) parts.push({ kind: "text", text: rest });
  return parts;
}

function links(text) {
  const parts = [];
  let rest = text;
  let plain = "";
  for (let match = LINK.exec(rest); match; match = LINK.exec(rest)) {
    const typed = withoutTrailing(match[0]);
    plain += rest.slice(0, match.index);
    rest = rest.slice(match.index + typed.length);
    const href = address(typed);
    if (href === null) {
      plain += typed;
      continue;
    }
    if (plain) parts.push({ kind: "text", text: plain });
    plain = "";
    parts.push({ kind: "link", text: typed, href });
  }
  if (plain + rest) parts.push({ kind: "text", text: plain + rest });
  return parts;
}

// The full stop after a link ends the sentence; a bracket belongs to the link only if it was opened in it.
function withoutTrailing(link) {
  let kept = link.replace(TRAILING, "");
  const last = kept.at(-1);
  if (last in CLOSERS && kept.split(last).length > kept.split(CLOSERS[last]).length) kept = kept.slice(0, -1);
  return kept === link ? kept : withoutTrailing(kept);
}

function address(typed) {
  if (!URL.canParse(typed)) return null;
  const url = new URL(typed);
  return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
}
