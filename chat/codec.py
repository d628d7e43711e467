"""How what happens in a room is written for a client: one codec per wire protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec

from chat import plain_text, protocol
from chat.events import Left, Publication
from chat.frames import Payload

Item = Publication | Left | protocol.Event


class Codec(ABC):
    """Writes a room's items for one member.

    `name` groups members for whom items are written once and for all. If the codec is `personal`, what a member
    said itself looks different to it: see `own`.
    """

    name: ClassVar[str]
    subprotocol: ClassVar[str | None] = None
    personal: ClassVar[bool] = False

    @abstractmethod
    def encode(self, item: Item) -> Payload | None:
        """Return what every member of the group gets, or None if it gets nothing."""

    def own(self, publication: Publication) -> list[Payload]:
        """Return what the one who said it gets instead."""
        raise NotImplementedError(f"{self.name} is not personal")


class ChatV1(Codec):
    """The JSON protocol of docs/protocol.md."""

    name = "chat.v1"
    subprotocol = protocol.SUBPROTOCOL

    def encode(self, item: Item) -> Payload | None:
        if isinstance(item, Publication):
            return Payload(protocol.encode_message(offset=item.offset, at=item.at, body=item.body))
        if isinstance(item, Left):
            return None  # people, not sockets: it is told by `presence`
        return Payload(protocol.encode(item))


class EventStream(Codec):
    """The events of chat.v1 as server-sent events; `id` is the position to go on from.

    The format is that of the HTML standard, section 9.2: a line for each field, an empty one at the end.
    """

    name = "events"

    def encode(self, item: Item) -> Payload | None:
        if isinstance(item, Publication):
            data = protocol.encode_message(offset=item.offset, at=item.at, body=item.body)
            return _event("message", data, id=f"{item.epoch}:{item.offset}")
        if isinstance(item, Left):
            return None
        id = f"{item.epoch}:{item.before - 1}" if isinstance(item, protocol.Gap) else None
        return _event(str(item.__struct_config__.tag), protocol.encode(item), id=id)


def _event(name: str, data: bytes, *, id: str | None) -> Payload:
    first = b"" if id is None else b"id: %s\n" % id.encode()
    # White space in somebody's `data`: in JSON one kind is as good as another, here a line break would end the field.
    data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    return Payload(b"%sevent: %s\ndata: %s\n\n" % (first, name.encode(), data))


class PlainText(Codec):
    """The tutorial's lines; the sender's own repeat its credential to it, and to nobody else."""

    name = "plain"
    personal = True

    def __init__(self, *, credential: str, q: int | None, item_id: str) -> None:
        self._credential = credential
        self._q = q
        self._item_id = item_id

    def encode(self, item: Item) -> Payload | None:
        if isinstance(item, Publication):
            return plain_text.for_others(item.content)
        if isinstance(item, Left):
            return plain_text.farewell(item.user)
        return None

    def own(self, publication: Publication) -> list[Payload]:
        return plain_text.for_sender(publication.content, credential=self._credential, q=self._q, item_id=self._item_id)


class Raw(Codec):
    """Just what was said: text as text, bytes as bytes, data as its JSON; for other people's apps."""

    name = "raw"

    def encode(self, item: Item) -> Payload | None:
        if not isinstance(item, Publication):
            return None
        body = item.content
        if not isinstance(body.binary, msgspec.UnsetType):
            return Payload(body.binary, binary=True)
        return Payload(plain_text.text_of(body).encode())
