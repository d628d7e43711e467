// Asks for a token when there is none that the server takes; log and outbox stay as they are.

export class SignIn {
  // `actions` are {signIn(token), leave()}.
  constructor({ dialog, title, field, leave }, { actions }) {
    Object.assign(this, { dialog, title, field });
    dialog.querySelector("form").addEventListener("submit", () => actions.signIn(field.value.trim()));
    leave.addEventListener("click", () => {
      this.close();
      actions.leave();
    });
  }

  // `expired`: there was one that the server took.
  open({ expired }) {
    if (this.dialog.open) return;
    this.title.textContent = expired ? "Your sign-in has expired" : "A token is needed here";
    this.field.value = "";
    this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }
}
