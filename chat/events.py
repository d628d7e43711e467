"""What travels through a room, and where it stands in the room's order; pure."""

from __future__ import annotations

import enum
from sys import intern
from typing import NamedTuple, Self

import msgspec

from chat.exceptions import ForeignPayload
from chat.protocol import MAX_OFFSET, Body, User, decode_body


class Publication:
    """One message at its place in a room's order.

    `at` is in milliseconds since 1970, by the broker's clock; `origin` the id of the connection that said it, or
    `-`; `body` the JSON of a `protocol.Body`. Raises `ForeignPayload` if it is none.
    """

    __slots__ = ("at", "body", "epoch", "offset", "origin")

    def __init__(self, epoch: str, offset: int, at: int, origin: str, body: bytes) -> None:
        self.epoch = epoch
        self.offset = offset
        self.at = at
        self.origin = origin
        self.body = body
        try:
            decode_body(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ForeignPayload(f"the body of message {offset} is not ours: {error}") from None

    @property
    def content(self) -> Body:
        """The body, read; not kept, because a room keeps hundreds of these, and most clients get the JSON as it is."""
        return decode_body(self.body)


class Signal:
    """Something that happens in a room but is no message: not kept, has no offset, may be lost.

    `kind` is a word, `origin` the id of the connection it came from, `body` JSON.
    """

    __slots__ = ("body", "kind", "origin")

    def __init__(self, kind: str, origin: str, body: bytes) -> None:
        self.kind = kind
        self.origin = origin
        self.body = body


class Left(NamedTuple):
    """A member closed a socket; for those who speak plain text."""

    user: User


class Link(enum.Enum):
    """What every subscriber is told, in line with the rest, about the way to the broker."""

    DOWN = "down"
    UP = "up"  # messages may have been missed: read the log


Event = Publication | Signal | Link


class Position(NamedTuple):
    """Where a room's log stands. Offsets of different epochs have nothing to do with each other."""

    epoch: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position that is written `epoch:offset`; raises `ValueError`."""
        epoch, _, offset = text.rpartition(":")
        if not epoch or not offset.isascii() or not offset.isdecimal() or len(offset) > len(str(MAX_OFFSET)):
            raise ValueError(f"a position is epoch:offset, as in welcome and message, not {text[:64]!r}")
        return cls(epoch, int(offset))


NOWHERE = Position("", 0)


class Receipt(NamedTuple):
    """What the broker says of a message it has: where it stands, and whether it was there before."""

    epoch: str
    offset: int
    duplicate: bool


class Page(NamedTuple):
    """A stretch of the log, oldest first, and where the log stood when it was read."""

    position: Position
    publications: list[Publication]

    def cut(self, limit: int, *, newest: bool) -> tuple[list[Publication], bool]:
        """Return the `limit` newest or oldest, and whether there are more: read one more than you want."""
        kept = self.publications[-limit:] if newest else self.publications[:limit]
        return kept, len(self.publications) > limit


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
                return Publication(intern(epoch), int(offset), int(at), origin, body)
            case ["s", kind, origin] if kind and origin:
                return Signal(kind, origin, body)
    except ValueError:
        pass
    raise ForeignPayload(f"{len(payload)} bytes that do not start like a message of ours: {payload[:16]!r}")
