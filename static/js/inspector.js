// What the connection is made of, for those who want to see that it is real.

import { element } from "./element.js";

const ROUND = 2_000; // ms between two measurements while somebody looks

export class Inspector {
  #timer = null;

  // `measure()` asks for a new latency.
  constructor({ panel, facts }, { measure }) {
    Object.assign(this, { panel, facts, measure });
    panel.addEventListener("toggle", ({ newState }) => this.#toggled(newState === "open"));
  }

  render({ socket, connection, store, reconnects, recovered, room, limits }) {
    if (this.#timer === null) return;
    const rows = [
      ["State", socket.state],
      ["Room", room],
      ["Worker", connection?.replace(/-[^-]*$/u, "") ?? "–"],
      ["Connection", connection ?? "–"],
      ["Round trip", socket.latency === null ? "–" : `${socket.latency} ms`],
      ["Offset", store.epoch === null ? "–" : `${store.offset.toLocaleString()} in ${store.epoch}`],
      ["Reconnects", String(reconnects)],
      ["Recovered", `${recovered.toLocaleString()} messages`],
    ];
    if (socket.code !== null) rows.push(["Ended by", `${socket.code} ${socket.cause ?? ""}`]);
    this.facts.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  #toggled(open) {
    clearInterval(this.#timer);
    this.#timer = open ? setInterval(this.measure, ROUND) : null;
    if (open) this.measure();
  }
}
