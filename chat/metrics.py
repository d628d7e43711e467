"""What is counted, in Prometheus' terms; read at `/metrics`."""

from __future__ import annotations

import asyncio

from prometheus_client import Counter, Gauge

SETTLED_EVERY = 0.1  # seconds


class Tally:
    """A counter for what happens with every message: passed on to Prometheus, which takes a lock, now and then."""

    def __init__(self, name: str, documentation: str) -> None:
        self._counter = Counter(name, documentation)
        self._fresh = 0  # not passed on yet
        self._loop: asyncio.AbstractEventLoop | None = None  # that will pass it on

    def inc(self, amount: int = 1) -> None:
        """Count; in the event loop."""
        self._fresh += amount
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(SETTLED_EVERY, self.settle)

    def settle(self) -> None:
        """Pass on what was counted."""
        fresh, self._fresh, self._loop = self._fresh, 0, None
        self._counter.inc(fresh)


connections = Gauge("chat_connections", "open sockets", multiprocess_mode="livesum")
rooms = Gauge("chat_rooms", "rooms with a member on this worker", multiprocess_mode="livesum")
published = Tally("chat_published", "messages that the broker acknowledged, duplicates included")
delivered = Tally("chat_delivered", "messages written to sockets")
recovered = Counter("chat_recovered", "messages read from the log because they were missed live")
gaps = Counter("chat_gaps", "holes found in the log by a room, or by a member that caught up")
refused = Counter("chat_refused", "connections refused before or right after accept", ["code"])
over_limit = Counter("chat_over_limit", "connections and requests refused because of a limit", ["limit"])
decisions = Counter("chat_decisions", "questions to the service that says who may do what", ["outcome"])
command_errors = Counter("chat_command_errors", "commands answered with an error", ["code"])
slow_handshakes = Counter("chat_slow_handshakes", "connections given up because no request came")
stalled = Counter("chat_stalled", "members closed because they stopped reading")
broker_retries = Counter("chat_broker_retries", "tries to reach the broker again")
foreign_payloads = Counter("chat_foreign_payloads", "payloads on our channels that are not ours, skipped")


def settle() -> None:
    """Pass on what was counted up to now, for somebody who reads it."""
    published.settle()
    delivered.settle()
