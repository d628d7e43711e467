// Says how the connection is: at once in the chip, after five seconds in the banner.

import { write } from "./element.js";
import { CloseCode } from "./protocol.js";

const BANNER_AFTER = 5_000;
const COUNTDOWN_FROM = 5_000;
const STILL_AFTER = 3 * 60_000;

export class Status {
  downSince = null; // since when the connection is not live
  #alarmed = false;

  // `actions` are {retry(), leave(), signIn(), reload()}; `alarm(text)` interrupts a screen reader, `say(text)` waits.
  constructor({ chip, banner, bannerText, bannerAction }, { actions, alarm, say }) {
    Object.assign(this, { chip, banner, bannerText, bannerAction, alarm, say });
    this.action = null;
    bannerAction.addEventListener("click", () => actions[this.action]());
  }

  enter(now) {
    this.downSince = now;
    this.#alarmed = false;
  }

  // Returns when it has to be drawn again because of the time alone, or null.
  render(situation) {
    const { state, now } = situation;
    this.downSince = state === "live" ? null : (this.downSince ?? now);
    const downFor = this.downSince === null ? 0 : now - this.downSince;
    const { tone, text, detail = "" } = chipFor(situation);
    const [short, long] = this.chip.children;
    write(short, text);
    write(long, detail);
    this.chip.dataset.tone = tone;
    this.#renderBanner(bannerFor({ ...situation, downFor }));
    return state === "live" ? null : now + 1_000;
  }

  #renderBanner(notice) {
    this.banner.hidden = notice === null;
    this.action = notice?.action ?? null;
    write(this.bannerText, notice?.text ?? "");
    this.bannerAction.hidden = this.action === null;
    write(this.bannerAction, notice?.label ?? "");
    // Once for each time that the connection is lost, not for each second of it.
    if (notice && !this.#alarmed) (notice.calm ? this.say : this.alarm)(notice.text);
    this.#alarmed = notice !== null;
  }
}

// Returns {tone, text, detail?}; there is no room for the detail on a narrow screen.
export function chipFor({ state, cause, name, online, degraded }) {
  if (state === "live" && degraded) return { tone: "warn", text: "Messages may be delayed" };
  if (state === "live") return { tone: "good", text: "Connected", detail: ` as ${name}` };
  if (STOPPED.has(state)) return { tone: "bad", text: "Not connected" };
  if (!online) return { tone: "warn", text: "You’re offline" };
  if (state === "catching-up") return { tone: "warn", text: "Catching up…" };
  if (cause === "restart") return { tone: "warn", text: "Server is restarting…" };
  return { tone: "warn", text: cause === null ? "Connecting…" : "Reconnecting…" };
}

// Returns {text, action, label} or null. `downFor`: ms since the connection was last live.
export function bannerFor(situation) {
  const { state, cause, code, room, retryAt, downFor, online, degraded, outdated, blocked, turnedAway, now } =
    situation;
  const again = { action: "retry", label: "Try now" };
  switch (state) {
    case "signed-out":
      return turnedAway ? { text: "Your sign-in has expired.", action: "signIn", label: "Sign in" } : null;
    case "refused":
      return { text: refusal(code, room), action: "leave", label: "Choose another room" };
    case "too-many-tabs":
      return { text: `#${room} is open in too many tabs. Close one, then`, action: "retry", label: "Try again" };
    case "live":
      if (degraded) return { text: "Messages from others may be delayed.", action: null, calm: true };
      return outdated ? { text: "This page is out of date.", action: "reload", label: "Reload", calm: true } : null;
    case "idle":
      return null;
  }
  if (downFor < BANNER_AFTER) return null;
  if (!online) return { text: "You’re offline. Messages will be sent when you’re back.", action: null };
  if (cause === "stalled") return { text: "You fell behind; catching up…", action: null, calm: true };
  if (blocked) {
    return { text: "The server is there, but something on the way, such as a proxy, lets no chat through.", ...again };
  }
  if (downFor > STILL_AFTER) {
    return { text: "Still can’t reach the server. Your unsent messages are kept in this tab.", ...again };
  }
  if (cause === "restart") return { text: "The server is restarting – back in a moment.", ...again };
  if (cause === "busy") return { text: `The server is busy. ${retrying(retryAt, now)}`, ...again };
  return {
    text: cause === null ? "Connecting takes longer than usual…" : `Connection lost. ${retrying(retryAt, now)}`,
    ...again,
  };
}

function refusal(code, room) {
  if (code === CloseCode.MALFORMED) return `There can be no room called “${room}”.`;
  if (code === CloseCode.TOO_LARGE) return "The server ended the connection: what was sent is too large.";
  return `You don’t have access to #${room}.`;
}

const STOPPED = new Set(["signed-out", "refused", "too-many-tabs"]);

function retrying(retryAt, now) {
  const wait = (retryAt ?? 0) - now;
  return wait >= COUNTDOWN_FROM ? `Retrying in ${Math.ceil(wait / 1_000)} s…` : "Retrying…";
}
