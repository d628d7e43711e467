// Asks who one is when the server no longer takes the old answer; log and outbox stay as they are.

import { CredentialFields } from "./credential_fields.js";

export class SignIn {
  #busy = false;

  // `actions` are {signIn({name, token}), leave(), signOut()}; signIn may reject with `Refused`.
  constructor({ dialog, text, leave }, { actions }) {
    Object.assign(this, { dialog, text, actions });
    this.form = dialog.querySelector("form");
    this.credentials = new CredentialFields(this.form, { actions });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    leave.addEventListener("click", () => {
      this.close();
      actions.leave();
    });
  }

  open({ session, name }) {
    if (this.dialog.open) return;
    this.text.textContent = `Enter a ${session.guests ? "name" : "token"} to go on. What you wrote is kept.`;
    this.credentials.show({ ...pick(session), user: null }, { name, token: "" });
    this.dialog.showModal();
    this.credentials.first?.focus();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async #submit() {
    const entered = this.credentials.read();
    const wrong = this.form.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    if (wrong || this.#busy) return;
    this.#busy = true;
    try {
      await this.actions.signIn(entered);
      this.close();
    } catch (refused) {
      this.credentials.refuse(refused);
    } finally {
      this.#busy = false;
    }
  }
}

const pick = ({ mode, guests }) => ({ mode, guests });
