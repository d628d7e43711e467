// The button that leads back to the newest message, and says how many there are.

import { atMost } from "./badge.js";
import { write } from "./element.js";

export class Pill {
  constructor({ pill, text }, { pressed }) {
    Object.assign(this, { pill, text });
    pill.addEventListener("click", () => pressed());
  }

  // `far`: more than a screen away from the newest message.
  render({ atBottom, far, unread }) {
    this.pill.hidden = atBottom || !(far || unread > 0);
    write(this.text, unread > 0 ? `${atMost(unread)} new ${unread === 1 ? "message" : "messages"}` : "Latest");
  }
}
