// What arrived while nobody looked: how many, and where it begins.

export class Unread {
  count = 0;
  marker = null; // the key of the message below the line "New messages"
  attentive = true; // the tab is seen, has the focus, and shows the newest message
  focused = true;

  // The reader looks away or back, scrolls up or down.
  look({ focused, atBottom }) {
    if (this.focused && !focused && this.count === 0) this.marker = null;
    this.focused = focused;
    this.attentive = focused && atBottom;
    if (this.attentive) this.count = 0;
  }

  // `missed`: it was said while this tab had no connection, so it begins something new even for one who looks.
  arrived(key, { missed = false } = {}) {
    if (this.attentive && !missed) return;
    const reading = this.focused && this.marker !== null; // the line does not move under the eyes of a reader
    if (this.marker === null || (this.count === 0 && !reading)) this.marker = key;
    if (!this.attentive) this.count += 1;
  }

  // Another tab showed them.
  seen() {
    this.count = 0;
  }

  // I said something, or pressed Escape: I have seen what was to be seen.
  dismiss() {
    this.count = 0;
    this.marker = null;
  }
}
