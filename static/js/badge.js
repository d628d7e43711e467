// What is unread, told outside the page: in the title, on the icon of the tab and on that of an installed app.

const PRODUCT = "Broadcaster";
const MOST = 99;

export class Badge {
  #shown = null;

  constructor({ icon }) {
    this.icon = icon;
    this.plain = icon.href;
  }

  render({ room, count }) {
    const shown = `${room} ${count}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    document.title = title(room, count);
    this.icon.href = count > 0 ? this.plain.replace(/favicon(-unread)?\.svg$/u, "favicon-unread.svg") : this.plain;
    navigator.setAppBadge?.(count).catch(() => {}); // 0 takes it away; only installed pages have one
  }
}

export function title(room, count) {
  const place = room === null ? PRODUCT : `#${room} – ${PRODUCT}`;
  return count > 0 ? `(${atMost(count)}) ${place}` : place;
}

export const atMost = (count) => (count > MOST ? `${MOST}+` : String(count));
