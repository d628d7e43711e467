// Asks for a new token when the old one is no longer good; log and outbox stay as they are.

export class SignIn {
  // `actions` are {signIn(token), leave()}.
  constructor({ dialog, field, leave }, { actions }) {
    this.dialog = dialog;
    this.field = field;
    dialog.querySelector("form").addEventListener("submit", () => actions.signIn(field.value.trim()));
    leave.addEventListener("click", () => {
      dialog.close();
      actions.leave();
    });
  }

  open() {
    if (this.dialog.open) return;
    this.field.value = "";
    this.dialog.showModal();
  }
}
