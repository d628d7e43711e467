// The first view: which room, and who one is there.

import { CredentialFields, complain } from "./credential_fields.js";
import { roomProblem } from "./room_name.js";

export class JoinForm {
  #busy = false;

  // `actions` are {join({room, name, token}), signOut()}; join resolves when one is in, or rejects with `Refused`.
  constructor(form, { actions }) {
    this.form = form;
    this.room = form.elements.room;
    this.notice = form.querySelector(".notice");
    this.button = form.querySelector(".primary");
    this.credentials = new CredentialFields(form, { actions });
    this.actions = actions;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener("input", ({ target }) => complain(target, ""));
  }

  // `notice`: why one is back here, or "".
  show({ room, name, token, session, notice = "" }) {
    this.room.value = room;
    complain(this.room, "");
    this.credentials.show(session, { name, token });
    this.notice.textContent = notice;
    this.#busily(false);
    const first = room ? (this.credentials.first ?? this.button) : this.room;
    first.focus();
  }

  // The session is different; what was typed stays.
  update(session) {
    const { name, token } = this.form.elements;
    this.credentials.show(session, { name: name.value, token: token.value });
  }

  async #submit() {
    const room = this.room.value.trim().normalize("NFC");
    complain(this.room, roomProblem(room));
    const entered = this.credentials.read();
    const wrong = this.form.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    if (wrong || this.#busy) return;
    this.#busily(true);
    try {
      await this.actions.join({ room, ...entered });
    } catch (refused) {
      this.credentials.refuse(refused);
    } finally {
      this.#busily(false);
    }
  }

  #busily(busy) {
    this.#busy = busy;
    this.button.setAttribute("aria-disabled", String(busy));
    this.button.textContent = busy ? "Joining…" : "Join room";
  }
}
