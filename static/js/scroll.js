// Keeps the log where the reader wants it: at the bottom if they are there, else exactly where they read.

const AT_BOTTOM = 64; // pixels

export class Scroll {
  pinned = true;
  #goingDown = false; // a smooth scroll to the bottom is under way
  #top = 0; // where the log stood when we last knew

  constructor(log, { moved }) {
    this.log = log;
    log.addEventListener("scroll", () => this.#scrolled(moved), { passive: true });
    log.addEventListener("scrollend", () => (this.#goingDown = false), { passive: true });
    const resized = new ResizeObserver(() => this.pinned && this.toBottom());
    resized.observe(log);
    resized.observe(log.firstElementChild);
  }

  // Changes the log without moving what is being read.
  around(change) {
    const anchor = this.pinned ? null : this.#firstVisible();
    change();
    if (this.pinned) this.toBottom();
    else if (anchor?.row.isConnected) this.log.scrollTop += anchor.row.getBoundingClientRect().top - anchor.top;
    this.#top = this.log.scrollTop;
  }

  toBottom({ smooth = false } = {}) {
    this.pinned = true;
    if (!smooth && this.#goingDown) return;
    this.#goingDown = smooth && this.#distance() > 0;
    this.log.scrollTo({ top: this.log.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.#top = this.log.scrollTop;
  }

  byPage(direction) {
    this.log.scrollBy({ top: direction * this.log.clientHeight * 0.85, behavior: "instant" });
  }

  // Which end of the log nobody looks at.
  get farEnd() {
    return this.pinned || this.log.scrollTop >= this.#distance() ? "oldest" : "newest";
  }

  get isNearTop() {
    return this.log.scrollTop < this.log.clientHeight;
  }

  get isNearBottom() {
    return this.#distance() < this.log.clientHeight;
  }

  // Only who moves up leaves the bottom: it may have moved down before the scroll to it is reported.
  #scrolled(moved) {
    const { scrollTop } = this.log;
    const atBottom = this.#distance() <= AT_BOTTOM;
    if (atBottom) this.#goingDown = false;
    if (atBottom) this.pinned = true;
    else if (scrollTop < this.#top) this.pinned = false;
    this.#top = scrollTop;
    moved();
  }

  #distance() {
    return this.log.scrollHeight - this.log.clientHeight - this.log.scrollTop;
  }

  // Of the messages: lines between them, such as the day's, do not keep their place among them.
  #firstVisible() {
    const edge = this.log.getBoundingClientRect().top;
    for (const row of this.log.querySelectorAll(".row-message")) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom > edge) return { row, top };
    }
    return null;
  }
}
