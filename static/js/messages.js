// The log as it is seen: one list item per row, changed in place when its row changes.

import { avatar, element } from "./element.js";
import { isOnlyEmoji, parse } from "./markup.js";

const FOLDED_LINES = 15;
const FOLDED_CHARACTERS = 1_600;

const EDGES = {
  older: {
    loading: "Loading earlier messages…",
    failed: "Couldn’t load earlier messages",
    idle: "Load earlier messages",
  },
  newer: { loading: "Loading newer messages…", failed: "Couldn’t load newer messages", idle: "Load newer messages" },
};

// `actions` are {retry(id), discard(id), older(), newer()}.
export class Messages {
  #shown = new Map(); // key → {node, look}
  #unfolded = new Set();

  constructor(list, { formats, actions }) {
    this.list = list;
    this.formats = formats;
    this.actions = actions;
  }

  render(rows) {
    const before = this.#shown;
    this.#shown = new Map();
    for (const row of rows) this.#shown.set(row.key, this.#drawn(row, before.get(row.key)));
    // What is gone goes first, so that all that stays is in its place already and nothing of it has to be moved.
    for (const [key, { node }] of before) if (!this.#shown.has(key)) node.remove();
    let place = this.list.firstChild;
    for (const { node } of this.#shown.values()) {
      if (node === place) place = place.nextSibling;
      else this.list.insertBefore(node, place);
    }
  }

  clear() {
    this.render([]);
    this.#unfolded.clear();
  }

  #drawn(row, shown) {
    const look = JSON.stringify(row);
    if (shown?.look === look) return shown;
    const node = shown?.node ?? element("li");
    node.className = `row row-${row.kind}`;
    node.replaceChildren(...this.#contents[row.kind](row, node));
    return { node, look };
  }

  #contents = {
    day: ({ text }) => [element("span", {}, text)],
    marker: () => [element("span", {}, "New messages")],
    notice: ({ text }) => [element("span", {}, text)],
    gap: ({ text }) => [element("span", {}, text)],
    edge: (row) => [this.#edge(row)],
    message: (row, node) => [this.#message(row, node)],
  };

  #edge({ key, state, text }) {
    if (text) return element("span", {}, text);
    if (state === "loading") return element("span", {}, EDGES[key].loading);
    const button = element(
      "button",
      { type: "button", class: "link", onclick: this.actions[key] },
      state === "failed" ? "Try again" : EDGES[key].idle,
    );
    return state === "failed" ? element("span", {}, `${EDGES[key].failed} · `, button) : button;
  }

  #message(row, node) {
    node.classList.toggle("mine", row.mine);
    node.classList.toggle("grouped", row.grouped);
    node.dataset.state = row.state;
    const name = row.mine ? "You" : row.user.name;
    return element(
      "article",
      { "aria-label": `${name}, ${this.formats.time(row.at)}` },
      row.grouped ? null : avatar(row.user),
      row.grouped ? null : element("bdi", { class: "name" }, name),
      this.#moment(row),
      this.#body(row),
      row.state === "failed" ? this.#failure(row) : null,
    );
  }

  #moment({ state, at }) {
    const progress = { queued: "Waiting to be sent…", sending: "Sending…" }[state];
    if (progress) return element("span", { class: "moment progress" }, progress);
    const datetime = new Date(at).toISOString();
    return element("time", { class: "moment", datetime, title: this.formats.full(at) }, this.formats.time(at));
  }

  #body({ key, text }) {
    const body = element("div", { class: "body", dir: "auto" }, ...parse(text).map(part));
    if (isOnlyEmoji(text)) body.classList.add("emoji");
    if (!isLong(text) || this.#unfolded.has(key)) return body;
    body.classList.add("folded");
    const more = element("button", { type: "button", class: "link" }, "Show more");
    more.addEventListener("click", () => {
      this.#unfolded.add(key);
      body.classList.remove("folded");
      more.remove();
    });
    return element("div", {}, body, more);
  }

  #failure({ id, problem }) {
    return element(
      "p",
      { class: "failure" },
      element("span", {}, problem),
      element("button", { type: "button", class: "link", onclick: () => this.actions.retry(id) }, "Try again"),
      element("button", { type: "button", class: "link", onclick: () => this.actions.discard(id) }, "Delete"),
    );
  }
}

const isLong = (text) => text.length > FOLDED_CHARACTERS || text.split("\n").length > FOLDED_LINES;

function part({ kind, text, href }) {
  switch (kind) {
    case "link":
      return element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, text);
    case "code":
      return element("code", {}, text);
    case "block":
      return element("pre", { tabindex: "0", role: "group", "aria-label": "Code" }, element("code", {}, text));
    default:
      return text;
  }
}
