"""What a member says to each kind of server: how it enters a room and how it wraps a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """One wire protocol as seen by a client that only wants to send texts and count what comes back."""

    path: Callable[[str, int], str]  # from room and member number, the target of the handshake
    wrap: Callable[[str, str, int], bytes]  # from room, text and message number, the payload of one text frame
    subprotocol: str | None = None


def _item(room: str, member: int) -> str:
    return f"/items/{room}/ws?token=t{member}&name=m{member}"


def _text(room: str, text: str, number: int) -> bytes:
    return text.encode()


def _publish(room: str, text: str, number: int) -> bytes:
    return json.dumps({"type": "publish", "id": str(number), "text": text}).encode()


DIALECTS = {
    # The tutorial's: what is sent is the message.
    "plain": Dialect(_item, _text),
    # With an id, so every message is acknowledged once the broker has it.
    "chat.v1": Dialect(_item, _publish, subprotocol="chat.v1"),
}
