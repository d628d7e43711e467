// Where one writes: a text box that grows, and the keys that send.

import { count } from "./format.js";
import { write } from "./element.js";

const COUNTED_FROM = 0.9; // of the limit
const GROWS_BY_ITSELF = CSS.supports("field-sizing", "content");

// `actions` are {send(text), typed(text), scroll(direction)}.
export class Composer {
  #limit = Infinity; // characters
  #heldUntil = null;
  #ticking = null;

  constructor(form, { counter, actions }) {
    this.form = form;
    this.box = form.querySelector("textarea");
    this.label = form.querySelector("label");
    this.button = form.querySelector("button");
    this.counter = counter;
    this.actions = actions;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.box.addEventListener("keydown", (event) => this.#pressed(event));
    this.box.addEventListener("input", () => {
      this.#changed();
      actions.typed(this.box.value);
    });
    // A tap on the button must not take the focus, or the keyboard of a phone would close.
    this.button.addEventListener("pointerdown", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => this.#typedElsewhere(event));
  }

  enter(room) {
    this.label.textContent = `Message #${room}`;
    this.box.placeholder = `Message #${room}`;
    this.text = "";
    if (!hasCoarsePointer()) this.focus();
  }

  // What the server allows: so many characters, and nothing before `heldUntil`.
  allow({ limit, heldUntil }) {
    this.#limit = limit;
    this.#heldUntil = heldUntil;
    this.#changed();
  }

  get text() {
    return this.box.value;
  }

  set text(text) {
    this.box.value = text;
    this.#changed();
  }

  focus() {
    this.box.focus({ preventScroll: true });
  }

  #pressed(event) {
    if (event.key === "PageUp" || event.key === "PageDown") {
      event.preventDefault();
      this.actions.scroll(event.key === "PageUp" ? -1 : 1);
    }
    // Safari ends the composition before it reports the Enter that ended it; only the key code tells.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    if (event.shiftKey || (hasCoarsePointer() && !event.ctrlKey && !event.metaKey)) return;
    event.preventDefault();
    this.#submit();
  }

  // Whoever starts to write while the log has the focus means the box.
  #typedElsewhere(event) {
    const free = document.activeElement === document.body || document.activeElement?.getAttribute("role") === "log";
    const prints = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (free && prints && !this.form.closest("[hidden]") && getSelection().isCollapsed) this.focus();
  }

  #submit() {
    const text = this.box.value.trim();
    if (!text || this.#surplus() > 0 || this.#wait() > 0) return;
    this.text = "";
    this.actions.send(text);
    this.focus();
  }

  #changed() {
    if (!GROWS_BY_ITSELF) this.#grow();
    const wait = this.#wait();
    const surplus = this.#surplus();
    write(this.button, wait > 0 ? `Wait ${Math.ceil(wait / 1_000)} s` : "Send");
    this.button.setAttribute("aria-disabled", String(wait > 0 || surplus > 0));
    this.counter.classList.toggle("problem", surplus > 0 || wait > 0);
    write(this.counter, this.#remark(surplus, wait));
    clearTimeout(this.#ticking);
    if (wait > 0) this.#ticking = setTimeout(() => this.#changed(), wait % 1_000 || 1_000);
  }

  #grow() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }

  #remark(surplus, wait) {
    if (wait > 0) return "You’re sending too fast.";
    if (surplus > 0) return `${count(surplus, "character")} too long`;
    const length = this.#length();
    return length >= this.#limit * COUNTED_FROM ? `${length.toLocaleString()} / ${this.#limit.toLocaleString()}` : "";
  }

  #wait() {
    return this.#heldUntil === null ? 0 : Math.max(0, this.#heldUntil - Date.now());
  }

  #surplus() {
    return this.#length() - this.#limit;
  }

  // As the server counts: code points, not UTF-16 units.
  #length() {
    const text = this.box.value.trim();
    return text.length < this.#limit * COUNTED_FROM ? text.length : [...text].length;
  }
}

const hasCoarsePointer = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
