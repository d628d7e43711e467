// The rooms where I have been, as they are seen: where I am, where something is new.

import { atMost } from "./badge.js";
import { complain } from "./credential_fields.js";
import { avatar, element } from "./element.js";
import { roomProblem } from "./room_name.js";

export class Rail {
  #look = null;

  // `actions` are {go(room), forget(room)}; `link(room)` is a room's address.
  constructor({ list, form, me, dot }, { actions, link }) {
    Object.assign(this, { list, me, dot, actions, link });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#open(form.elements.room);
    });
    form.addEventListener("input", ({ target }) => complain(target, ""));
  }

  // `unread`: room → number of messages.
  render({ rooms, room, me, unread }) {
    const look = JSON.stringify([rooms, room, me, [...unread]]);
    if (look === this.#look) return;
    this.#look = look;
    const focused = this.list.contains(document.activeElement) && document.activeElement.getAttribute("href");
    this.list.replaceChildren(
      ...rooms.map((name) => this.#item(name, { current: name === room, unread: unread.get(name) ?? 0 })),
    );
    if (focused) this.list.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    this.me.replaceChildren(avatar(me), element("bdi", {}, me.name));
    this.dot.hidden = !rooms.some((name) => name !== room && unread.get(name) > 0);
  }

  #open(field) {
    const room = field.value.trim().normalize("NFC");
    const problem = roomProblem(room);
    complain(field, problem);
    if (problem) return;
    field.value = "";
    this.actions.go(room);
  }

  #item(room, { current, unread }) {
    const link = element(
      "a",
      { href: this.link(room), "aria-current": current ? "page" : null },
      element("bdi", {}, `# ${room}`),
    );
    if (unread > 0 && !current) {
      link.append(
        element("span", { class: "number", "aria-hidden": "true" }, atMost(unread)),
        element("span", { class: "visually-hidden" }, `, ${atMost(unread)} unread`),
      );
    }
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // that opens another tab, as with any link
      event.preventDefault();
      this.actions.go(room);
    });
    const forget = element(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": `Remove ${room} from this list`,
        onclick: () => this.actions.forget(room),
      },
      "×",
    );
    return element("li", {}, link, current ? null : forget);
  }
}
