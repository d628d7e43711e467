"""The broker: what carries messages between workers and keeps each room's log.

Fan-out goes through `broadcaster`: every broker holds a `Broadcast(backend=…)`, and a worker subscribes once per
room. What broadcaster does not know, the log, is added here.
"""

from __future__ import annotations

import enum
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec
from broadcaster import Broadcast
from broadcaster._backends.base import BroadcastBackend
from broadcaster._base import Subscriber

from chat.exceptions import ForeignPayload, SettingsError
from chat.protocol import decode_body

if TYPE_CHECKING:
    from chat.settings import Settings


class Publication:
    """One message at its place in a room's order.

    `at` is in milliseconds since 1970, by the broker's clock; `origin` the id of the connection that said it, or
    `-`; `body` the JSON of a `protocol.Body`, and `content` the same, read. Raises `ForeignPayload` if it is none.
    """

    __slots__ = ("at", "body", "content", "epoch", "offset", "origin")

    def __init__(self, epoch: str, offset: int, at: int, origin: str, body: bytes) -> None:
        self.epoch = epoch
        self.offset = offset
        self.at = at
        self.origin = origin
        self.body = body
        try:
            self.content = decode_body(body)
        except msgspec.DecodeError as error:
            raise ForeignPayload(f"the body of message {offset} is not ours: {error}") from None


class Signal:
    """Something that happens in a room but is no message: not kept, has no offset, may be lost.

    `kind` is a word, `origin` the id of the connection it came from, `body` JSON.
    """

    __slots__ = ("body", "kind", "origin")

    def __init__(self, kind: str, origin: str, body: bytes) -> None:
        self.kind = kind
        self.origin = origin
        self.body = body


class Link(enum.Enum):
    """What every subscriber is told, in line with the rest, about the way to the broker."""

    DOWN = "down"
    UP = "up"  # messages may have been missed: read the log


Event = Publication | Signal | Link


class Position(NamedTuple):
    """Where a room's log stands. Offsets of different epochs have nothing to do with each other."""

    epoch: str
    offset: int


class Receipt(NamedTuple):
    """What the broker says of a message it has: where it stands, and whether it was there before."""

    epoch: str
    offset: int
    duplicate: bool


class Page(NamedTuple):
    """A stretch of the log, oldest first, and where the log stood when it was read."""

    position: Position
    publications: list[Publication]


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
    async def subscribe(self, room: str) -> AsyncIterator[Subscriber]:
        """Hear a room while the block lasts: `(await subscriber.get()).message` is an `Event`.

        Once the block is entered nothing more is missed, unless the broker goes away: then `Link` says so.
        """
        async with self.broadcast.subscribe(self.channel(room)) as subscriber:
            yield subscriber

    @abstractmethod
    def channel(self, room: str) -> str:
        """Return the name under which broadcaster knows the room."""

    @abstractmethod
    async def publish(self, room: str, body: bytes, *, origin: str = "-", key: str | None = None) -> Receipt:
        """Append a message to the room's log and tell all subscribers, or neither."""

    @abstractmethod
    async def signal(self, room: str, signal: Signal) -> None:
        """Tell all subscribers something that is not kept."""

    @abstractmethod
    async def position(self, room: str) -> Position:
        """Return where the log stands; a room that has none gets an epoch."""

    @abstractmethod
    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Page:
        """Return up to `limit` messages: the oldest after `after`, else the newest before `before`, else the newest."""


def serialise(event: Publication | Signal) -> bytes:
    """Return an event as the bytes that travel: a line of fields, then the body. See docs/design.md."""
    if isinstance(event, Publication):
        return b"m %s %d %d %s\n%s" % (event.epoch.encode(), event.offset, event.at, event.origin.encode(), event.body)
    return b"s %s %s\n%s" % (event.kind.encode(), event.origin.encode(), event.body)


def parse(payload: bytes) -> Publication | Signal:
    """Return the event that `serialise`, or publish.lua, made into `payload`; raise `ForeignPayload`."""
    head, _, body = payload.partition(b"\n")
    try:
        match head.decode("ascii").split(" "):
            case ["m", epoch, offset, at, origin]:
                return Publication(epoch, int(offset), int(at), origin, body)
            case ["s", kind, origin]:
                return Signal(kind, origin, body)
    except ValueError:
        pass
    raise ForeignPayload(f"{len(payload)} bytes that do not start like a message of ours: {payload[:16]!r}")


def new_epoch() -> str:
    """Return a name for a new log, different from all before."""
    return secrets.token_hex(4)


def from_settings(settings: Settings) -> Broker:
    """Return the broker that `settings.broker_url` names, not yet connected."""
    scheme = urlsplit(settings.broker_url).scheme
    if scheme == "memory":
        from chat.broker.memory import MemoryBroker

        return MemoryBroker(settings)
    if scheme in {"redis", "rediss", "unix"}:
        from chat.broker.redis import RedisBroker

        return RedisBroker(settings)
    raise SettingsError(f"no broker is known for {scheme}://")
