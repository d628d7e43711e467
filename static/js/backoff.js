// How long to wait before the next attempt to connect.

const FIRST = { least: 300, most: 1_500 };
const BASE = 1_000;
const CEILING = 30_000;

// Returns milliseconds. `random` spreads the clients of a server that restarts, so that they do not all come at once.
export function retryDelay(failures, random) {
  if (failures === 0) return FIRST.least + (FIRST.most - FIRST.least) * random();
  return Math.min(CEILING, BASE * 2 ** failures) * (0.5 + random() / 2);
}
