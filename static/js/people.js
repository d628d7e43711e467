// Who is here, and who is typing, as it is seen.

import { avatar, element, write } from "./element.js";
import { count } from "./format.js";
import { names } from "./rows.js";

export class People {
  #look = null;

  constructor({ panel, title, note, list, typing, open, openCount }, { formats }) {
    Object.assign(this, { panel, title, note, list, typing, open, openCount, formats });
  }

  // `since`: when the connection was lost, or null; what is known then is only what was.
  render({ presence, me, now, since }) {
    const typing = presence.typing(now);
    write(this.typing, since === null ? sentence(typing) : "");
    this.panel.classList.toggle("stale", since !== null);
    const look = JSON.stringify([
      presence.known,
      presence.count,
      presence.list(me),
      typing.map(({ id }) => id),
      me,
      since,
    ]);
    if (look === this.#look) return;
    this.#look = look;
    this.open.hidden = !presence.known;
    this.open.setAttribute("aria-label", `People: ${presence.count}`);
    write(this.openCount, String(presence.count));
    write(this.title, presence.known ? `People (${presence.count})` : "People");
    this.#renderNote(presence, { me, since });
    const ids = new Set(typing.map(({ id }) => id));
    this.list.replaceChildren(...presence.list(me).map((user) => person(user, { me, typing: ids.has(user.id) })));
  }

  #renderNote({ known, members, count: all }, { me, since }) {
    const unlisted = all - members.size;
    const notes = [
      since === null ? null : `As of ${this.formats.time(since)}`,
      unlisted > 0 ? (members.size ? `and ${count(unlisted, "other")}` : "Too many to list") : null,
      me === null || known ? null : "This server does not tell who is here.",
    ].filter(Boolean);
    this.note.hidden = notes.length === 0;
    write(this.note, notes.join(" · "));
  }
}

function person(user, { me, typing }) {
  return element(
    "li",
    {},
    avatar(user),
    element("span", { class: "who" }, element("bdi", {}, user.name), user.id === me?.id ? " (you)" : null),
    typing ? element("span", { class: "muted" }, "typing") : null,
  );
}

function sentence(typing) {
  if (typing.length === 0) return "";
  if (typing.length > 2) return "Several people are typing…";
  return `${names(typing)} ${typing.length === 1 ? "is" : "are"} typing…`;
}
