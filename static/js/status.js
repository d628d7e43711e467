// Says how the connection is: at once in the chip, after five seconds in the banner.

const BANNER_AFTER = 5_000;
const COUNTDOWN_FROM = 5_000;
const STILL_AFTER = 3 * 60_000;

// Returns {tone, text} for the chip.
export function chip({ state, cause, name, online }) {
  if (state === "live") return { tone: "good", text: `Connected as ${name}` };
  if (state === "signed-out" || state === "refused" || state === "too-many-tabs") return { tone: "bad", text: "Not connected" };
  if (!online) return { tone: "warn", text: "You’re offline" };
  if (state === "catching-up") return { tone: "warn", text: "Catching up…" };
  if (cause === "restart") return { tone: "warn", text: "The server is restarting…" };
  return { tone: "warn", text: cause === null ? "Connecting…" : "Reconnecting…" };
}

// Returns {text, action} or null. `downSince`: when the connection was last live.
export function banner({ state, cause, room, retryAt, downSince, online, now }) {
  switch (state) {
    case "signed-out":
      return { text: "Your sign-in has expired. Enter a token to go on.", action: "leave" };
    case "refused":
      return { text: cause ? `The server did not let you in: ${cause}` : `You don’t have access to #${room}.`, action: "leave" };
    case "too-many-tabs":
      return { text: `#${room} is open in too many tabs. Close one, then try again.`, action: "retry" };
    case "live":
    case "idle":
      return null;
  }
  if (now - downSince < BANNER_AFTER) return null;
  if (!online) return { text: "You’re offline. Messages will be sent when you’re back.", action: null };
  if (now - downSince > STILL_AFTER) {
    return { text: "Still can’t reach the server. Your unsent messages are kept in this tab.", action: "retry" };
  }
  if (cause === "restart") return { text: "The server is restarting – back in a moment.", action: "retry" };
  return { text: `Connection lost. ${retrying(retryAt, now)}`, action: "retry" };
}

function retrying(retryAt, now) {
  const wait = (retryAt ?? 0) - now;
  return wait >= COUNTDOWN_FROM ? `Retrying in ${Math.ceil(wait / 1_000)} s…` : "Retrying…";
}
