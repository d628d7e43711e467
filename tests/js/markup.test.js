import assert from "node:assert/strict";
import { test } from "node:test";

import { isOnlyEmoji, parse } from "../../static/js/markup.js";

const links = (text) =>
  parse(text)
    .filter(({ kind }) => kind === "link")
    .map((part) => part.text);
const joined = (text) =>
  parse(text)
    .map((part) => part.text)
    .join("");

test("markup is text", () => {
  const text = '<img src=x onerror=alert(1)> <a href="javascript:alert(1)">x</a>';
  assert.deepEqual(parse(text), [{ kind: "text", text }]);
});

test("only http and https become links", () => {
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc",
    "ftp://x.example",
    "example.org",
    "http://",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("what ends the sentence is not part of the link", () => {
  for (const end of [".", ",", "!", "?", ")", "]", "'", ":", ";", ".)", "…"]) {
    assert.equal(links(`see https://example.org/a${end} there`)[0].replace("…", ""), "https://example.org/a");
  }
});

test("brackets that were opened in the link belong to it", () => {
  assert.deepEqual(links("(https://example.org/a_(b))"), ["https://example.org/a_(b)"]);
});

test("quotes and angle brackets end a link", () => {
  assert.deepEqual(links('"https://example.org/"onmouseover="x'), ["https://example.org/"]);
  assert.deepEqual(links("<https://example.org/>"), ["https://example.org/"]);
});

test("backticks make code, in which nothing is a link", () => {
  assert.deepEqual(
    parse("a `https://x.example` b").map(({ kind }) => kind),
    ["text", "code", "text"],
  );
});

test("a fence makes a block, with its language left out", () => {
  assert.deepEqual(parse("so:\n```js\nlet a = `b`;\n```\nthere"), [
    { kind: "text", text: "so:" },
    { kind: "block", text: "let a = `b`;" },
    { kind: "text", text: "there" },
  ]);
  assert.deepEqual(parse("```one line```"), [{ kind: "block", text: "one line" }]);
});

test("no text is lost", () => {
  for (const text of ["https://a.example, https://b.example/(x).", "http://[bad http://ok.example", "a\n\nb  c"]) {
    assert.equal(joined(text), text);
  }
});

test("up to three emoji alone are only emoji", () => {
  for (const text of ["👍", "👩‍👩‍👧 🎉", "🇫🇷", "❤️"]) assert.ok(isOnlyEmoji(text), text);
  for (const text of ["", "1", "ok 👍", "😀😀😀😀", "#", "©"]) assert.ok(!isOnlyEmoji(text), text);
});
