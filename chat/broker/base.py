"""What every broker offers: fan-out between workers, and a log per room.

Fan-out goes through `broadcaster`: every broker holds a `Broadcast(backend=…)`, which makes and ends the worker's one
subscription per room. What broadcaster does not know is added here: the log, and that what is heard is taken at once
rather than carried through two tasks and a queue.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from broadcaster import Broadcast
from broadcaster._backends.base import BroadcastBackend

from chat.events import Event, Page, Position, Receipt, Signal
from chat.exceptions import BrokerUnavailable
from chat.protocol import User
from chat.roster import People
from chat.turn import Turn

logger = logging.getLogger("chat.broker")

Take = Callable[[Event], None]
Then = Callable[["Receipt | BrokerUnavailable"], None]

BEAT = 2.0  # seconds between two signs of life of a worker
BEATS_MISSED = 8.0  # seconds without one after which a worker counts as gone


BEATS_LATE = 5.0  # seconds without one after which its seats do not count: its members are coming back to the others


class Beat(NamedTuple):
    """Which workers live, and whether the one that asked had been taken for gone."""

    live: set[str]
    was_gone: bool
    reconnected: bool = False  # since the last sign of life: what was noted before may be lost


class Quota(NamedTuple):
    """How many sockets something, such as a person, may have open at once, over all workers."""

    name: str
    limit: int
    held: int  # by the worker that asks, as far as it knows


class Broker(ABC):
    """Fan-out and log.

    Order: all subscribers of a room get its publications in the order of their offsets, which rise by one.
    Delivery: at most once to a subscriber; whoever sees an offset jump, or `Link.UP`, reads `history`.
    Kept: once `publish` has returned, the message is in the log, as durable as the store behind it.
    Idempotence: the same `key` again, within the time it is remembered, returns the first `Receipt`.
    Cancellation: a cancelled `publish` may or may not have happened; the same `key` again settles it.
    Every method raises `BrokerUnavailable` at once when the broker is away, and never waits for longer than
    `broker_timeout`.
    """

    broadcast: Broadcast

    def __init__(self) -> None:
        self._takers: dict[str, tuple[Take, ...]] = {}  # by channel
        self.turn = Turn()  # what is heard together is taken before it ends

    @property
    @abstractmethod
    def available(self) -> bool:
        """Whether this worker can publish to the broker and hears what others publish."""

    @abstractmethod
    def backend(self) -> BroadcastBackend:
        """Return a new backend for broadcaster to fan out through."""

    async def connect(self) -> None:
        """Start, in the running event loop; a broker that cannot be reached yet is tried again in the background."""
        self.broadcast = Broadcast(backend=self.backend())
        await self.broadcast.connect()

    async def disconnect(self) -> None:
        """Stop; subscriptions must have ended before."""
        await self.broadcast.disconnect()

    @asynccontextmanager
    async def subscribe(self, room: str, take: Take) -> AsyncIterator[None]:
        """Have `take` called with every event of a room while the block lasts, as soon as it is heard.

        Once the block is entered nothing more is missed, unless the broker goes away: then `Link` says so. `take` must
        not wait; what it raises is logged, and costs nobody else anything.
        """
        channel = self.channel(room)
        self._takers[channel] = (*self._takers.get(channel, ()), take)
        try:
            async with self.broadcast.subscribe(channel):
                yield
        finally:
            left = list(self._takers.pop(channel, ()))
            if take in left:
                left.remove(take)
            if left:
                self._takers[channel] = tuple(left)

    def deliver(self, channel: str, event: Event) -> None:
        """Hand an event to those who subscribed to a channel; for the backend."""
        for take in self._takers.get(channel, ()):
            try:
                take(event)
            except Exception:
                logger.exception("what came on %s could not be taken", channel)

    @abstractmethod
    def channel(self, room: str) -> str:
        """Return the name under which broadcaster knows the room."""

    async def publish(
        self, room: str, body: bytes, *, origin: str = "-", key: str | None = None, seen: Position | None = None
    ) -> Receipt:
        """Append a message to the room's log and tell all subscribers, or neither.

        `seen`: how far the caller has got; a store that lost its newest messages then goes on behind it.
        """
        answered: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

        def then(outcome: Receipt | BrokerUnavailable) -> None:
            if answered.done():
                pass  # nobody waits any more
            elif isinstance(outcome, BrokerUnavailable):
                answered.set_exception(outcome)
            else:
                answered.set_result(outcome)

        self.post(room, body, then, origin=origin, key=key, seen=seen)
        return await answered

    @abstractmethod
    def post(
        self,
        room: str,
        body: bytes,
        then: Then,
        *,
        origin: str = "-",
        key: str | None = None,
        seen: Position | None = None,
    ) -> None:
        """Do what `publish` does, without waiting: `then` is called with its outcome, perhaps at once.

        What is posted in a row is appended in that order.
        """

    @abstractmethod
    async def signal(self, room: str, signal: Signal) -> None:
        """Tell all subscribers something that is not kept."""

    @abstractmethod
    async def position(self, room: str, *, seen: Position | None = None) -> Position:
        """Return where the log stands; a room that has none gets an epoch. `seen`: as in `publish`."""

    @abstractmethod
    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Page:
        """Return up to `limit` messages: the oldest after `after`, else the newest before `before`, else the newest."""

    # --- who is here ---

    @abstractmethod
    async def enrol(self, room: str, people: People) -> None:
        """Note who came to and went from a worker, and tell all subscribers by a signal of kind `PEOPLE`."""

    @abstractmethod
    async def strike(self, room: str, worker: str, ids: Iterable[str]) -> None:
        """Note that people are not on a worker any more that is gone itself; tells nobody."""

    @abstractmethod
    async def roster(self, room: str) -> list[tuple[str, User]]:
        """Return who is in a room, a pair for each person and worker, of workers that live."""

    @abstractmethod
    async def beat(self, worker: str) -> Beat:
        """Show that a worker lives, and return which do; to be called every `BEAT` seconds."""

    # --- how many sockets are open ---

    @abstractmethod
    async def claim(self, worker: str, quotas: Sequence[Quota]) -> Quota | None:
        """Take a seat in each of some quotas, or in none of them; returns the one that is full, if one is.

        Never more than the limit are taken, over all workers, however many ask at once. The seats count until they are
        given back, or the worker shows no more that it lives; it must have done so before. What was noted of a quota
        is forgotten an hour after the last claim or restatement. Cancellation: it may or may not have happened, and
        `restate` settles it.
        """

    @abstractmethod
    async def vacate(self, worker: str, seats: Mapping[str, int]) -> None:
        """Give back so many seats in each quota."""

    @abstractmethod
    async def restate(self, worker: str, seats: Mapping[str, int]) -> None:
        """Note how many seats the worker has in each quota, whatever was noted before.

        Not while a claim is under way there: it would be uncertain whether its seat is among them. Sent before this
        first waits, so ahead of what is claimed or given back after it.
        """


def new_epoch() -> str:
    """Return a name for a new log, different from all before."""
    return secrets.token_hex(4)
