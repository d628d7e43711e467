// Keeps the log where the reader wants it: at the bottom if they are there, else exactly where they read.

const AT_BOTTOM = 64; // pixels

export class Scroll {
  pinned = true;

  constructor(log, { moved }) {
    this.log = log;
    log.addEventListener("scroll", () => {
      this.pinned = this.#distance() <= AT_BOTTOM;
      moved();
    }, { passive: true });
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
  }

  toBottom() {
    this.pinned = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  #distance() {
    return this.log.scrollHeight - this.log.clientHeight - this.log.scrollTop;
  }

  #firstVisible() {
    const edge = this.log.getBoundingClientRect().top;
    for (const row of this.log.firstElementChild.children) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom > edge) return { row, top };
    }
    return null;
  }
}
