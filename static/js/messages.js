// The log as it is seen: one list item per row, changed in place when its row changes.

import { element } from "./element.js";
import { count, hue, initials } from "./format.js";
import { isOnlyEmoji, parse } from "./markup.js";

const HUES = 8; // the colours of avatars, in the style sheet

const REASONS = {
  lost: "connection lost.",
  too_long: "too long.",
};

// `actions` are {retry(id), discard(id)}.
export class Messages {
  #shown = new Map(); // key → {node, look}

  constructor(list, { formats, actions }) {
    this.list = list;
    this.formats = formats;
    this.actions = actions;
  }

  render(rows) {
    const shown = new Map();
    let place = this.list.firstChild;
    for (const row of rows) {
      const { node, look } = this.#drawn(row);
      shown.set(row.key, { node, look });
      if (node === place) place = place.nextSibling;
      else this.list.insertBefore(node, place);
    }
    for (const [key, { node }] of this.#shown) if (!shown.has(key)) node.remove();
    this.#shown = shown;
  }

  #drawn(row) {
    const look = JSON.stringify(row);
    const { node = element("li"), look: before = null } = this.#shown.get(row.key) ?? {};
    if (look !== before) this.#draw(node, row);
    return { node, look };
  }

  #draw(node, row) {
    node.className = `row row-${row.kind}`;
    node.replaceChildren(...this.#contents[row.kind](row, node));
  }

  #contents = {
    day: ({ text }) => [element("span", {}, text)],
    gap: ({ count: n }) => [element("span", {}, n > 0 ? `${count(n, "message")} missing here` : "Messages are missing here")],
    message: (row, node) => this.#message(row, node),
  };

  #message(row, node) {
    node.classList.toggle("mine", row.mine);
    node.classList.toggle("grouped", row.grouped);
    node.dataset.state = row.state;
    const article = element(
      "article",
      { "aria-label": `${row.mine ? "You" : row.user.name}, ${this.formats.time(row.at)}` },
      row.grouped ? null : element("span", { class: `avatar hue-${hue(row.user.id, HUES)}`, "aria-hidden": "true" }, initials(row.user.name)),
      this.#heading(row),
      body(row.text),
      row.state === "failed" ? this.#failure(row) : null,
    );
    return [article];
  }

  #heading(row) {
    const time = element(
      "time",
      { datetime: new Date(row.at).toISOString(), title: this.formats.full(row.at) },
      this.formats.time(row.at),
    );
    const progress = { queued: "Waiting for the connection…", sending: "Sending…" }[row.state];
    return element(
      "div",
      { class: "heading" },
      row.grouped ? null : element("bdi", { class: "name" }, row.mine ? "You" : row.user.name),
      progress ? element("span", { class: "progress" }, progress) : time,
    );
  }

  #failure({ id, reason }) {
    return element(
      "p",
      { class: "failure" },
      `Not sent: ${REASONS[reason] ?? "the server refused it."} `,
      element("button", { type: "button", class: "link", onclick: () => this.actions.retry(id) }, "Try again"),
      " ",
      element("button", { type: "button", class: "link", onclick: () => this.actions.discard(id) }, "Delete"),
    );
  }
}

function body(text) {
  return element("div", { class: isOnlyEmoji(text) ? "body emoji" : "body", dir: "auto" }, ...parse(text).map(part));
}

function part({ kind, text, href }) {
  switch (kind) {
    case "link":
      return element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, text);
    case "code":
      return element("code", {}, text);
    case "block":
      return element("pre", { tabindex: "0", role: "group", "aria-label": "Code" }, element("code", {}, text));
    default:
      return document.createTextNode(text);
  }
}
