// The first view: which room, under which name.

import { roomProblem } from "./room_name.js";

export class JoinForm {
  // `join({room, name, token})` takes what was entered.
  constructor(form, { join }) {
    this.form = form;
    this.join = join;
    this.fields = form.elements;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener("input", ({ target }) => complain(target, ""));
    this.fields.reveal.addEventListener("click", () => this.#reveal());
  }

  show({ room, name, token }) {
    this.fields.room.value = room;
    this.fields.name.value = name;
    this.fields.token.value = token;
    (room ? this.fields.name : this.fields.room).focus();
  }

  #submit() {
    const { room, name, token } = this.fields;
    const entered = { room: room.value.trim().normalize("NFC"), name: name.value.trim(), token: token.value.trim() };
    complain(room, roomProblem(entered.room));
    complain(name, entered.name ? "" : "Enter the name that others will see.");
    const wrong = this.form.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    else this.join(entered);
  }

  #reveal() {
    const { token, reveal } = this.fields;
    const shown = token.type === "password";
    token.type = shown ? "text" : "password";
    reveal.setAttribute("aria-pressed", String(shown));
  }
}

// Says what is wrong with a field beside it; an empty sentence: nothing.
export function complain(field, problem) {
  const note = document.getElementById(`${field.id}-problem`);
  if (!note) return;
  note.textContent = problem;
  if (problem) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
