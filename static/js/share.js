// Hands out the link to a room.

const SAID_FOR = 2_000;

export class Share {
  constructor({ buttons, popover, field }, { announce }) {
    Object.assign(this, { buttons, popover, field, announce });
  }

  async offer(link) {
    try {
      await navigator.clipboard.writeText(link);
      this.announce("Link copied");
      for (const button of this.buttons) button.classList.add("done");
      setTimeout(() => this.buttons.forEach((button) => button.classList.remove("done")), SAID_FOR);
    } catch {
      // No clipboard without a secure context or without leave: then by hand.
      this.field.value = link;
      this.popover.showPopover();
      this.field.select();
    }
  }
}
