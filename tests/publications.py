"""Publications for tests of what is done with them."""

from __future__ import annotations

from chat import protocol
from chat.events import Publication
from chat.protocol import User

ADA = User("ada", "Ada")


def publication(offset: int, *, epoch: str = "e", text: str = "", origin: str = "-", size: int = 0) -> Publication:
    """Return the message at `offset`; `size` makes its body at least so many bytes long."""
    body = protocol.encode(protocol.body(ADA, text or f"message {offset}" + " " * size, id=str(offset)))
    return Publication(epoch, offset, 1_795_254_060_000 + offset, origin, body)


def publications(*offsets: int, epoch: str = "e") -> list[Publication]:
    return [publication(offset, epoch=epoch) for offset in offsets]


def offsets(publications: list[Publication] | None) -> list[int]:
    assert publications is not None
    return [publication.offset for publication in publications]
