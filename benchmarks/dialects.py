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
    hello: Callable[[str], list[bytes]] = lambda room: []  # from the room, frames to send after the handshake


def _item(room: str, member: int) -> str:
    return f"/items/{room}/ws?token=t{member}&name=m{member}"


def _text(room: str, text: str, number: int) -> bytes:
    return text.encode()


def _publish(room: str, text: str, number: int) -> bytes:
    return json.dumps({"type": "publish", "id": str(number), "text": text}).encode()


def _engine(room: str, member: int) -> str:
    return "/socket.io/?EIO=4&transport=websocket"


def _join(room: str) -> list[bytes]:
    return [b"40", f'42["join","{room}"]'.encode()]


def _say(room: str, text: str, number: int) -> bytes:
    return f'42["say","{room}","{text}"]'.encode()


def _root(room: str, member: int) -> str:
    return "/"


def _subscribe(room: str) -> list[bytes]:
    return [b'CONNECT {"verbose":false,"pedantic":false}\r\n', f"SUB {room} 1\r\n".encode()]


def _pub(room: str, text: str, number: int) -> bytes:
    return f"PUB {room} {len(text)}\r\n{text}\r\n".encode()


DIALECTS = {
    # The tutorial's: what is sent is the message.
    "plain": Dialect(_item, _text),
    # With an id, so every message is acknowledged once the broker has it.
    "chat.v1": Dialect(_item, _publish, subprotocol="chat.v1"),
    "socket.io": Dialect(_engine, _say, hello=_join),
    "nats": Dialect(_root, _pub, hello=_subscribe),
}
