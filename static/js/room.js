// A room as it is seen: one conversation, and all views of it, drawn at most once per frame.

import { Composer } from "./composer.js";
import { Messages } from "./messages.js";
import { rows } from "./rows.js";
import { Scroll } from "./scroll.js";
import { banner, chip } from "./status.js";

const HIDDEN_FRAME = 250; // ms; a hidden tab gets no animation frames

export class RoomView {
  #conversation = null;
  #frame = null;
  #downSince = null; // since when the connection is not live

  constructor(page, { formats, actions }) {
    this.page = page;
    this.formats = formats;
    this.actions = actions;
    this.messages = new Messages(page.list, {
      formats,
      actions: {
        retry: (id) => this.#conversation.retry(id),
        discard: (id) => {
          this.#conversation.discard(id);
          this.composer.focus();
        },
      },
    });
    this.scroll = new Scroll(page.log, { moved: () => {} });
    this.composer = new Composer(page.composer, { send: (text) => this.#say(text) });
    page.bannerAction.addEventListener("click", () => this.#act());
    setInterval(() => this.#conversation && this.#draw(), 1_000);
  }

  enter(conversation) {
    this.#conversation = conversation;
    this.#downSince = Date.now();
    this.page.log.setAttribute("aria-label", `Messages in ${conversation.room}`);
    this.page.title.textContent = `# ${conversation.room}`;
    document.title = `#${conversation.room} – Broadcaster`;
    this.composer.enter(conversation.room);
    this.changed();
  }

  leave() {
    this.#conversation = null;
    this.messages.render([]);
    delete document.documentElement.dataset.connection;
    document.documentElement.dataset.state = "idle";
  }

  changed() {
    if (this.#frame !== null) return;
    this.#frame = document.hidden
      ? setTimeout(() => this.#draw(), HIDDEN_FRAME)
      : requestAnimationFrame(() => this.#draw());
  }

  #say(text) {
    this.#conversation.say(text);
    this.#draw();
    this.scroll.toBottom();
  }

  #act() {
    const { state } = this.#conversation.socket;
    if (state === "waiting") this.#conversation.socket.wake();
    else if (state === "too-many-tabs") this.#conversation.open();
    else this.actions.leave();
  }

  #draw() {
    this.#frame = null;
    if (this.#conversation === null) return;
    const { store, outbox, me } = this.#conversation;
    const drawn = rows({ items: store.items, entries: outbox.entries, me, now: Date.now(), formats: this.formats });
    this.scroll.around(() => {
      this.messages.render(drawn);
      this.page.empty.hidden = drawn.length > 0;
      this.#drawStatus();
    });
  }

  #drawStatus() {
    const { socket, connection, me, room } = this.#conversation;
    const { state, cause, retryAt } = socket;
    const now = Date.now();
    this.#downSince = state === "live" ? null : (this.#downSince ?? now);
    const situation = { state, cause, retryAt, room, name: me?.name, online: navigator.onLine, downSince: this.#downSince, now };
    const { tone, text } = chip(situation);
    const notice = banner(situation);
    write(this.page.chip, text);
    this.page.chip.dataset.tone = tone;
    this.page.banner.hidden = notice === null;
    write(this.page.bannerText, notice?.text ?? "");
    this.page.bannerAction.hidden = !notice?.action;
    write(this.page.bannerAction, notice?.action === "leave" ? "Back to the form" : "Try now");
    document.documentElement.dataset.state = state;
    if (connection) document.documentElement.dataset.connection = connection;
  }
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
