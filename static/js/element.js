// Makes DOM nodes. Text becomes text nodes, never markup.

import { hue, initials } from "./format.js";

const HUES = 12; // the colours of avatars, in the style sheet

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), () => value());
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function avatar({ id, name }) {
  return element("span", { class: `avatar hue-${hue(id, HUES)}`, "aria-hidden": "true" }, initials(name));
}

// Writing what is already there would make a screen reader say it again, and lose a selection.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
