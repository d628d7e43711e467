"""RFC 6455 frames as a server writes them, made once and sent to many; pure."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

_FINAL_TEXT = 0x81
_FINAL_BINARY = 0x82


class Payload(NamedTuple):
    """One WebSocket message to send: its bytes (UTF-8 if it is text) and which of the two it is."""

    data: bytes
    binary: bool = False


def frame(payload: Payload) -> bytes:
    """Return the unmasked, unfragmented frame that carries `payload` (RFC 6455, section 5.2)."""
    data = payload.data
    length = len(data)
    first = _FINAL_BINARY if payload.binary else _FINAL_TEXT
    if length < 126:
        return bytes((first, length)) + data
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2) + data
    return bytes((first, 127)) + length.to_bytes(8) + data


class Batch:
    """Messages that are due together, in order; each form of them is made once, however many read it."""

    def __init__(self, payloads: list[Payload]) -> None:
        self.payloads = payloads

    @cached_property
    def frames(self) -> bytes:
        """All of them as frames, joined, for a transport that takes bytes."""
        if len(self.payloads) == 1:
            return frame(self.payloads[0])
        return b"".join([frame(payload) for payload in self.payloads])

    @cached_property
    def asgi(self) -> list[dict[str, Any]]:
        """All of them as ASGI `websocket.send` messages, for any other server."""
        return [
            {"type": "websocket.send", "bytes": data} if binary else {"type": "websocket.send", "text": data.decode()}
            for data, binary in self.payloads
        ]

    @cached_property
    def joined(self) -> bytes:
        """All of them, one after the other, for a stream of bytes."""
        return b"".join([payload.data for payload in self.payloads])

    @cached_property
    def size(self) -> int:
        """Bytes of payload."""
        return sum([len(payload.data) for payload in self.payloads])
