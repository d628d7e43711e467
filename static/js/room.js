// A room as it is seen: one conversation, and all views of it, drawn at most once per frame.

import { Composer } from "./composer.js";
import { write } from "./element.js";
import { count } from "./format.js";
import { Inspector } from "./inspector.js";
import { Messages } from "./messages.js";
import { People } from "./people.js";
import { Pill } from "./pill.js";
import { rows } from "./rows.js";
import { Scroll } from "./scroll.js";
import { SignIn } from "./sign_in.js";
import { Status } from "./status.js";

const FRAME_WITHIN = 250; // ms
const SKELETON_AFTER = 300; // ms; what loads faster needs no stand-in
const SAVED_AFTER = 400; // ms after the last key
const FAILURES_TOGETHER = 2;
const LOADING = new Set(["connecting", "catching-up", "waiting"]);

export class RoomView {
  outdated = false; // the server has another version than this page
  #conversation = null;
  #due = null; // the next drawing, by a frame or without one
  #clockwork = null; // the next drawing that only the time makes necessary
  #enteredAt = 0;
  #drafted = false; // whether the draft is back in the box
  #unsaved = null;
  #failed = 0; // messages that were not sent, as far as that was told

  // `page` are the elements, by name; `actions` are {leave(), signIn({name, token}), askToSignIn(), read(conversation)}.
  constructor(page, { formats, announcer, badge, drafts, actions }) {
    Object.assign(this, { page, formats, announcer, badge, drafts, actions });
    this.messages = new Messages(page.list, { formats, actions: this.#rowActions });
    this.scroll = new Scroll(page.log, { moved: () => this.#moved() });
    this.composer = new Composer(page.composer, {
      counter: page.counter,
      actions: {
        send: (text) => this.#say(text),
        typed: (text) => this.#typed(text),
        scroll: (by) => this.scroll.byPage(by),
      },
    });
    this.status = new Status(page, {
      actions: {
        retry: () => this.#retry(),
        leave: actions.leave,
        signIn: actions.askToSignIn,
        reload: () => location.reload(),
      },
      alarm: (text) => announcer.alarm(text),
      say: (text) => announcer.say(text),
    });
    this.signIn = new SignIn(page.signIn, { actions });
    this.people = new People(page.people, { formats });
    this.pill = new Pill(page.pill, { pressed: () => this.#toNewest() });
    this.inspector = new Inspector(page.inspector, { measure: () => this.#conversation?.socket.measure() });
    page.retryAll.addEventListener("click", () => this.#conversation.retryAll());
    page.discardAll.addEventListener("click", () => this.#rowActions.discardAll());
    document.addEventListener("keydown", (event) => this.#pressed(event));
    for (const event of ["focus", "blur"]) addEventListener(event, () => this.#moved());
    document.addEventListener("visibilitychange", () => this.#moved());
  }

  #rowActions = {
    retry: (id) => this.#conversation.retry(id),
    discard: (id) => this.#discard(() => this.#conversation.discard(id)),
    discardAll: () => this.#discard(() => this.#conversation.discardAll()),
    older: () => this.#conversation.showOlder(),
    newer: () => this.#conversation.showNewer(),
  };

  // `user`: our id, if it is known from before.
  enter(conversation, { user }) {
    this.#conversation = conversation;
    this.#enteredAt = Date.now();
    this.#drafted = false;
    this.#failed = conversation.outbox.failed.length;
    this.status.enter(this.#enteredAt);
    this.page.log.setAttribute("aria-label", `Messages in #${conversation.room}`);
    this.page.side.setAttribute("aria-label", `People in #${conversation.room}`);
    this.page.title.textContent = `# ${conversation.room}`;
    this.page.title.title = `#${conversation.room}`;
    this.composer.enter(conversation.room);
    this.#restoreDraft(user);
    this.scroll.toBottom();
    this.changed();
  }

  leave() {
    this.saveDraft();
    this.#conversation = null;
    this.signIn.close();
    clearTimeout(this.#clockwork);
    this.messages.clear();
    delete document.documentElement.dataset.connection;
    document.documentElement.dataset.state = "idle";
    this.badge.render({ room: null, count: 0 });
  }

  // Something that can be seen is different; many changes make one drawing. A tab that is hidden, or behind another
  // window, gets its animation frames late or never: then it is drawn without one.
  changed() {
    if (this.#due !== null || this.#conversation === null) return;
    const draw = () => {
      cancelAnimationFrame(this.#due.frame);
      clearTimeout(this.#due.timer);
      this.#due = null;
      this.#draw();
    };
    this.#due = { frame: requestAnimationFrame(draw), timer: setTimeout(draw, FRAME_WITHIN) };
  }

  tooFast() {
    this.announcer.say("You’re sending too fast. Your message is kept and goes out in a moment.");
  }

  caughtUp(missed) {
    this.announcer.say(`${count(missed, "message")} while you were away`);
  }

  // --- what I do ---

  #say(text) {
    const { me, room } = this.#conversation;
    this.#conversation.say(text);
    clearTimeout(this.#unsaved);
    if (me) this.drafts.sent(me.id, room);
    this.scroll.toBottom();
    this.#draw();
  }

  #typed(text) {
    if (text.trim()) this.#conversation.type();
    clearTimeout(this.#unsaved);
    this.#unsaved = setTimeout(() => this.saveDraft(), SAVED_AFTER);
  }

  saveDraft() {
    clearTimeout(this.#unsaved);
    const { me, room } = this.#conversation ?? {};
    if (me) this.drafts.save(me.id, room, this.composer.text);
  }

  #discard(action) {
    action();
    this.composer.focus(); // the button that had the focus is gone
  }

  #retry() {
    const { socket } = this.#conversation;
    if (socket.state === "too-many-tabs") this.#conversation.open();
    else socket.wake();
  }

  #toNewest() {
    if (this.#conversation.store.detached) this.#conversation.showNewest();
    this.scroll.toBottom({ smooth: !matchMedia("(prefers-reduced-motion: reduce)").matches });
    this.composer.focus();
  }

  #pressed(event) {
    if (event.key !== "Escape" || event.isComposing || event.keyCode === 229 || this.#conversation === null) return;
    if (document.querySelector("dialog[open], [popover]:popover-open")) return;
    this.#conversation.unread.dismiss();
    this.#toNewest();
    this.changed();
  }

  #moved() {
    if (this.#conversation === null) return;
    this.#look();
    this.#turnPage();
    this.changed();
  }

  // Near an end of the window, what lies beyond comes without being asked for; after a failure it has to be.
  #turnPage() {
    const { pages, socket } = this.#conversation;
    if (socket.state !== "live") return;
    if (this.scroll.isNearTop && pages.older === "idle") this.#conversation.showOlder();
    if (this.scroll.isNearBottom && pages.newer === "idle") this.#conversation.showNewer();
  }

  #look() {
    const focused = !document.hidden && document.hasFocus();
    const { pinned: atBottom, farEnd } = this.scroll;
    this.#conversation.look({ focused, atBottom, farEnd });
    if (this.#conversation.unread.attentive) this.actions.read(this.#conversation);
  }

  // --- what is seen ---

  #draw() {
    if (this.#conversation === null) return;
    const now = Date.now();
    this.#look();
    this.#restoreDraft(this.#conversation.me?.id);
    let next = null;
    this.scroll.around(() => {
      this.#drawLog(now);
      next = this.#drawAround(now);
    });
    this.#drawPill();
    this.#turnPage();
    this.#drawAgain(next);
  }

  #drawLog(now) {
    const { store, outbox, me, unread, limits } = this.#conversation;
    const drawn = rows({
      items: store.items,
      entries: outbox.entries,
      me,
      limit: limits.text_length,
      marker: unread.marker,
      older: this.#older(),
      newer: store.detached ? { state: this.#conversation.pages.newer } : null,
      now,
      formats: this.formats,
    });
    this.messages.render(drawn);
    const isEmpty = !drawn.some(({ kind }) => kind === "message");
    const isLoading = LOADING.has(this.#conversation.socket.state) && store.items.length === 0;
    this.page.empty.hidden = !isEmpty || isLoading;
    this.page.skeleton.hidden = !isLoading || !isEmpty || now - this.#enteredAt < SKELETON_AFTER;
  }

  #older() {
    const { store, pages, room } = this.#conversation;
    if (store.oldest !== null) return { state: pages.older };
    const first = store.items.find(({ kind }) => kind === "message");
    const isBeginning = first?.offset === 1 && first.epoch === store.epoch;
    return { text: isBeginning ? `Beginning of #${room}` : "Earlier messages are no longer kept" };
  }

  // Everything but the log. Returns when it has to be drawn again because of the time alone, or null.
  #drawAround(now) {
    const { socket, connection, me, presence, limits, heldUntil, outbox } = this.#conversation;
    const { state } = socket;
    const ticks = this.status.render(this.#situation(now));
    this.people.render({ presence, me, now, since: connection === null ? null : this.status.downSince });
    this.composer.allow({ limit: limits.text_length, heldUntil });
    this.inspector.render(this.#conversation);
    this.#drawFailures(outbox.failed.length);
    document.documentElement.dataset.state = state;
    if (connection) document.documentElement.dataset.connection = connection;
    const skeleton = now < this.#enteredAt + SKELETON_AFTER ? this.#enteredAt + SKELETON_AFTER : null;
    return earliest(ticks, skeleton, presence.nextChange(now), heldUntil, midnightAfter(now));
  }

  #situation(now) {
    const { socket, me, room, degraded, blocked, turnedAway } = this.#conversation;
    const { state, cause, code, retryAt } = socket;
    const { outdated } = this;
    const name = me?.name ?? "";
    const online = navigator.onLine;
    return { state, cause, code, retryAt, room, name, online, degraded, blocked, outdated, turnedAway, now };
  }

  #drawFailures(failed) {
    if (failed > this.#failed) this.announcer.alarm("Message not sent");
    this.#failed = failed;
    this.page.failures.hidden = failed < FAILURES_TOGETHER;
    write(this.page.failuresText, `${count(failed, "message")} not sent`);
  }

  #drawPill() {
    const { unread, store, room } = this.#conversation;
    const far = store.detached || !this.scroll.isNearBottom;
    this.pill.render({ atBottom: this.scroll.pinned && !store.detached, far, unread: unread.count });
    this.badge.render({ room, count: unread.count });
  }

  #drawAgain(at) {
    clearTimeout(this.#clockwork);
    this.#clockwork = setTimeout(() => this.changed(), Math.max(50, at - Date.now()));
  }

  #restoreDraft(user) {
    if (this.#drafted || !user) return;
    this.#drafted = true;
    if (!this.composer.text) this.composer.text = this.drafts.load(user, this.#conversation.room);
  }
}

const earliest = (...moments) => Math.min(...moments.filter((moment) => moment !== null));

const midnightAfter = (now) => new Date(now).setHours(24, 0, 0, 100);
