// On a narrow screen, what stands beside the talk comes in a drawer.

export class Drawer {
  #content = null;
  #home = null;

  constructor(dialog, close) {
    this.dialog = dialog;
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.#putBack());
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // the backdrop
  }

  open(content, { label, side }) {
    this.#content = content;
    this.#home = content.parentElement;
    this.dialog.append(content);
    this.dialog.setAttribute("aria-label", label);
    this.dialog.dataset.side = side;
    this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #putBack() {
    this.#home.append(this.#content);
  }
}
