// Desktop notifications: off until asked for, only while the tab is hidden, and from one tab only.

const KEY = "chat.notify";

export class Notifier {
  #isChosen = false; // of all tabs, the one that notifies

  constructor({ box, note, storage }) {
    Object.assign(this, { box, note, storage });
    box.checked = this.#isOn;
    box.addEventListener("change", () => this.#ask());
    // Held for as long as this tab lives; the next one in line gets it then.
    navigator.locks?.request("chat.notify", () => {
      this.#isChosen = true;
      return new Promise(() => {});
    });
  }

  message(room, { user, text }) {
    if (!document.hidden || !this.#isOn || !this.#isChosen) return;
    const notification = new Notification(`${user.name} in #${room}`, { body: text ?? "", tag: `chat ${room}` });
    notification.addEventListener("click", () => window.focus());
  }

  get #isOn() {
    return this.storage.get(KEY) === true && window.Notification?.permission === "granted";
  }

  async #ask() {
    const allowed = this.box.checked && (await window.Notification?.requestPermission()) === "granted";
    this.storage.set(KEY, allowed || null);
    this.note.hidden = allowed || !this.box.checked;
    this.note.textContent = "This browser does not allow it for this page.";
    this.box.checked = allowed;
  }
}
