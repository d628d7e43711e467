// Where one writes: a text box that grows, and the keys that send.

// `send(text)` takes what was written.
export class Composer {
  constructor(form, { send }) {
    this.box = form.querySelector("textarea");
    this.label = form.querySelector("label");
    this.send = send;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.box.addEventListener("keydown", (event) => this.#pressed(event));
    // A tap on Send must not take the focus, or the keyboard of a phone would close.
    form.querySelector("button").addEventListener("pointerdown", (event) => event.preventDefault());
  }

  enter(room) {
    this.label.textContent = `Message #${room}`;
    this.box.placeholder = `Message #${room}`;
    if (!hasCoarsePointer()) this.focus();
  }

  focus() {
    this.box.focus();
  }

  #pressed(event) {
    // Safari ends the composition before it reports the Enter that ended it; only the key code tells.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    if (event.shiftKey || (hasCoarsePointer() && !event.ctrlKey && !event.metaKey)) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.box.value.trim();
    if (!text) return;
    this.box.value = "";
    this.send(text);
    this.focus();
  }
}

const hasCoarsePointer = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
