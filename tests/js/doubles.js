// Stand-ins for the world: a clock that moves when told, and sockets whose other end is the test.

export class SteppedClock {
  #now = Date.parse("2026-11-20T09:41:00Z");
  #timers = new Map();
  #last = 0;

  now() {
    return this.#now;
  }

  setTimeout(action, ms) {
    this.#last += 1;
    this.#timers.set(this.#last, { due: this.#now + Math.max(0, ms), action });
    return this.#last;
  }

  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  get waiting() {
    return this.#timers.size;
  }

  // Lets time pass; every timer fires at its moment.
  advance(ms) {
    const end = this.#now + ms;
    for (let next = this.#next(); next && next.due <= end; next = this.#next()) {
      this.#now = Math.max(this.#now, next.due);
      this.#timers.delete(next.timer);
      next.action();
    }
    this.#now = end;
  }

  // The machine sleeps: time passes, and no timer fires before it is over.
  sleep(ms) {
    this.#now += ms;
  }

  #next() {
    const timers = Array.from(this.#timers, ([timer, { due, action }]) => ({ timer, due, action }));
    return timers.sort((a, b) => a.due - b.due || a.timer - b.timer)[0];
  }
}

// Returns a WebSocket class whose instances are listed in `opened`, newest last.
export function recordingWebSocket() {
  return class RecordingWebSocket {
    static opened = [];
    onmessage = null;
    onclose = null;
    sent = [];
    closed = null;

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      RecordingWebSocket.opened.push(this);
    }

    static get last() {
      return RecordingWebSocket.opened.at(-1);
    }

    send(frame) {
      this.sent.push(JSON.parse(frame));
    }

    close(code) {
      this.closed = code ?? 1005;
    }

    // What the server does.

    says(...events) {
      for (const event of events) this.onmessage?.({ data: JSON.stringify(event) });
    }

    ends(code = 1006, reason = "") {
      this.onclose?.({ code, reason });
    }

    sentOf(type) {
      return this.sent.filter((command) => command.type === type);
    }
  };
}

export const ANN = { id: "a1", name: "Ann" };
export const BOB = { id: "b2", name: "Bob" };

export function welcome(change = {}) {
  return {
    type: "welcome",
    room: "foo",
    user: ANN,
    connection: "w1-1",
    epoch: "e1",
    offset: 0,
    limits: { frame_bytes: 65536, text_length: 4000 },
    heartbeat: 25,
    ...change,
  };
}

export function message(offset, change = {}) {
  return {
    type: "message",
    offset,
    id: `m${offset}`,
    user: BOB,
    at: "2026-11-20T09:41:00.000Z",
    text: `no. ${offset}`,
    ...change,
  };
}

// Keeps what it is given as a browser does: as a copy.
export function memoryStorage() {
  return {
    saved: null,
    load() {
      return JSON.parse(this.saved);
    },
    save(value) {
      this.saved = value === null ? null : JSON.stringify(value);
    },
  };
}

// A BrowserStorage without a browser.
export function valueStorage() {
  const values = new Map();
  return {
    get: (key) => JSON.parse(values.get(key) ?? "null"),
    set: (key, value) => (value === null ? values.delete(key) : values.set(key, JSON.stringify(value))),
    values,
  };
}

export function recordingListener() {
  const heard = [];
  const record =
    (name) =>
    (...details) =>
      heard.push([name, ...details]);
  return {
    heard,
    changed() {},
    welcomed: record("welcomed"),
    signedOut: record("signedOut"),
    unreachable: record("unreachable"),
    tooFast: record("tooFast"),
    arrived: record("arrived"),
    caughtUp: record("caughtUp"),
  };
}
