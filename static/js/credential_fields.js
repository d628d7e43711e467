// Where one says who one is: a name, a token, or nothing if the browser is signed in. The join form and the dialog
// that comes up when a sign-in has expired have the same fields.

import { avatar, element } from "./element.js";

export class CredentialFields {
  #needs = { name: true, token: false };

  // `actions` are {signOut()}.
  constructor(form, { actions }) {
    this.form = form;
    this.fields = form.elements;
    this.details = form.querySelector("details");
    this.summary = form.querySelector("summary");
    this.offer = this.summary.textContent;
    this.who = form.querySelector(".signed-in");
    this.problem = form.querySelector(".form-problem");
    this.actions = actions;
    form.addEventListener("input", ({ target }) => {
      complain(target, "");
      this.problem.textContent = "";
    });
    this.fields.reveal.addEventListener("click", () => this.#reveal(this.fields.token.type === "password"));
  }

  // `session` says what is needed, `name` and `token` what was entered before.
  show(session, { name, token }) {
    this.#needs = needs(session);
    this.fields.name.value = name;
    this.fields.token.value = token;
    this.fields.name.closest(".field").hidden = !this.#needs.name;
    this.summary.hidden = this.#needs.token;
    this.summary.textContent = session.user && session.mode === "signed" ? "Use another token" : this.offer;
    this.details.open = this.#needs.token || token !== "";
    this.form.querySelector(".token-hint").textContent = hint(session);
    this.#reveal(false);
    this.#showWho(session);
    for (const field of [this.fields.name, this.fields.token]) complain(field, "");
  }

  // Says what is missing; returns {name, token}, which is good if nothing was.
  read() {
    const { name, token } = this.fields;
    const entered = { name: name.value.trim(), token: token.value.trim() };
    const nameMissing = this.#needs.name && !entered.name && (this.#needs.always || !entered.token);
    complain(name, nameMissing ? "Enter the name that others will see." : "");
    complain(token, this.#needs.token && !entered.token ? "Enter a token, or sign in first." : "");
    return entered;
  }

  // `refused`: a sentence, and the field it is about.
  refuse({ message, field }) {
    if (field === null || this.fields[field].closest("[hidden]")) {
      this.problem.textContent = message;
      return;
    }
    if (field === "token") this.details.open = true;
    complain(this.fields[field], message);
    this.fields[field].focus();
  }

  // What is to be filled in first, or null.
  get first() {
    if (this.#needs.token) return this.fields.token;
    return this.#needs.name ? this.fields.name : null;
  }

  #showWho({ mode, user }) {
    this.who.hidden = user === null || mode === "open";
    if (this.who.hidden) return;
    this.who.replaceChildren(
      avatar(user),
      element(
        "span",
        { class: "lines" },
        element("span", { class: "muted" }, "Signed in as "),
        element("bdi", {}, user.name),
      ),
      element("button", { type: "button", class: "link", onclick: () => this.actions.signOut() }, "Sign out"),
    );
  }

  #reveal(shown) {
    const { token, reveal } = this.fields;
    token.type = shown ? "text" : "password";
    reveal.textContent = shown ? "Hide" : "Show";
    reveal.setAttribute("aria-label", shown ? "Hide the token" : "Show the token");
  }
}

// What has to be entered; pure. `always`: a name, even if there is a token.
export function needs({ mode, guests, user }) {
  if (mode === "open") return { name: true, always: true, token: false };
  if (user !== null) return { name: false, always: false, token: false };
  return { name: guests, always: false, token: !guests };
}

function hint({ mode, guests, user }) {
  if (mode === "open") return "Without one, this tab is a guest of its own.";
  if (user !== null) return "It signs this browser in as somebody else.";
  return guests ? "Without one, you are a guest." : "You get it from whoever runs this server.";
}

// Says what is wrong with a field beside it; an empty sentence: nothing.
export function complain(field, problem) {
  const note = document.getElementById(`${field.id}-problem`);
  if (!note) return;
  note.textContent = problem;
  if (problem) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
