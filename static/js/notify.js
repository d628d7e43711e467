// Desktop notifications: off until asked for.

const KEY = "chat.notify";

export class Notifier {
  constructor({ box, note, storage }) {
    Object.assign(this, { box, note, storage });
    box.checked = this.#isOn;
    box.addEventListener("change", () => this.#ask());
    addEventListener("storage", ({ key }) => key === KEY && (box.checked = this.#isOn));
  }

  message(room, { user, text }) {
    if (!this.#isOn) return;
    const notification = new Notification(`${user.name} in #${room}`, { body: text ?? "", tag: `chat ${room}` });
    notification.addEventListener("click", () => {
      window.focus();
      notification.close();
    });
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
