"""The plain text that clients of FastAPI's tutorial speak; pure.

The lines are those of the tutorial's second and third example. Binary messages stay binary.
"""

from __future__ import annotations

from msgspec import UNSET

from chat.frames import Payload
from chat.protocol import Body, User


def for_others(body: Body) -> Payload:
    """Return what every other member gets of a message."""
    if body.binary is not UNSET:
        return Payload(body.binary, binary=True)
    return Payload(f"Client #{body.user.name} says: {text_of(body)}".encode())


def for_sender(body: Body, *, credential: str, q: int | None, item_id: str) -> list[Payload]:
    """Return what the sender gets of its own message, in this order."""
    lines = [Payload(f"Session cookie or query token value is: {credential}".encode())]
    if q is not None:
        lines.append(Payload(f"Query parameter q is: {q}".encode()))
    if body.binary is not UNSET:
        lines.append(Payload(body.binary, binary=True))
    else:
        lines.append(Payload(f"Message text was: {text_of(body)}, for item ID: {item_id}".encode()))
    return lines


def farewell(user: User) -> Payload:
    """Return what the others get when a member leaves."""
    return Payload(f"Client #{user.name} left the chat".encode())


def text_of(body: Body) -> str:
    """Return a message's text, or the JSON text of its data."""
    if body.text is not UNSET:
        return body.text
    return bytes(body.data).decode() if body.data is not UNSET else ""
