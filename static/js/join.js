// The first view: which room, under which name.

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
    const { token, reveal } = this.fields;
    reveal.addEventListener("click", () => {
      const hidden = token.type === "password";
      token.type = hidden ? "text" : "password";
      reveal.setAttribute("aria-pressed", String(hidden));
    });
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
}

const ROOM = /^[\p{L}\p{Nd}\-_.:@~][\p{L}\p{M}\p{Nd}\-_.:@~]*$/u;
const ROOM_LENGTH = 128;

function roomProblem(room) {
  if (!room) return "Enter the room’s name.";
  if ([...room].length > ROOM_LENGTH) return `A room’s name may have ${ROOM_LENGTH} characters.`;
  return ROOM.test(room) ? "" : "Room names may use letters, digits and - _ . : @ ~, and no spaces.";
}

function complain(field, problem) {
  const note = document.getElementById(`${field.id}-problem`);
  if (!note) return;
  note.textContent = problem;
  if (problem) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
