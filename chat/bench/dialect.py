"""What a member says to a kind of server: how it enters a room, how it wraps a message, how one looks that comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from chat.protocol import SUBPROTOCOL


@dataclass(frozen=True)
class Dialect:
    """One wire protocol as seen by a client that only wants to send texts and count what comes back."""

    target: Callable[[str, str, int], str]  # from room, token and member number, the target of the handshake
    wrap: Callable[[str, str, int], bytes]  # from room, text and message number, the payload of one text frame
    subprotocol: str | None = None
    hello: Callable[[str], list[bytes]] = lambda room: []  # from the room, frames to send after the handshake
    # How a message begins, up to its offset. Whoever tells offsets also greets, acknowledges, and can be resumed.
    message: bytes | None = None


def _enter(room: str, token: str, member: int) -> str:
    query = urlencode({"token": token, "name": f"Bench {member}", "history": 0})
    return f"/items/{quote(room)}/ws?{query}"


def _publish(room: str, text: str, number: int) -> bytes:
    return json.dumps({"type": "publish", "id": str(number), "text": text}).encode()


# With an id, so every message is acknowledged once the broker has it.
CHAT_V1 = Dialect(_enter, _publish, subprotocol=SUBPROTOCOL, message=b'{"type":"message","offset":')
