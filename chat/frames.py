"""RFC 6455 frames as a server writes them, made once and sent to many; pure."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Any

import msgspec

_FINAL_TEXT = 0x81
_FINAL_BINARY = 0x82
_COMPRESSED = 0x40  # the bit RSV1 (RFC 7692, section 6)
_head_7 = Struct(">BB").pack
_head_16 = Struct(">BBH").pack
_head_64 = Struct(">BBQ").pack
_MEM_LEVEL = 5  # a table of 64 KB instead of 256 to be made for each message; costs 1 % of what is saved


class Payload(msgspec.Struct, frozen=True, gc=False):
    """One WebSocket message to send: its bytes (UTF-8 if it is text) and which of the two it is."""

    data: bytes
    binary: bool = False


def frame(payload: Payload) -> bytes:
    """Return the unmasked, unfragmented frame that carries `payload` (RFC 6455, section 5.2)."""
    return _frame(payload.data, _FINAL_BINARY if payload.binary else _FINAL_TEXT)


def deflated_frame(payload: Payload) -> bytes:
    """Return the same, compressed as permessage-deflate without context takeover (RFC 7692, section 7.2.1).

    It depends on no message before it, so everybody can be sent the same.
    """
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, memLevel=_MEM_LEVEL)
    data = deflate.compress(payload.data) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _frame(data[:-4], _COMPRESSED | (_FINAL_BINARY if payload.binary else _FINAL_TEXT))


def _frame(data: bytes, first: int) -> bytes:
    length = len(data)
    if length < 126:
        return _head_7(first, length) + data
    if length < 65536:
        return _head_16(first, 126, length) + data
    return _head_64(first, 127, length) + data


class Batch:
    """Messages that are due together, in order; each form of them is made once, however many read it."""

    __slots__ = ("_asgi", "_begin", "_deflated", "_frames", "_joined", "_rest", "_size", "payloads")

    def __init__(self, payloads: list[Payload]) -> None:
        self.payloads = self._rest = payloads
        self._begin: Batch | None = None  # another one that it begins with, before the rest
        # Not cached properties: before Python 3.12 these take a lock, which costs more than a frame.
        self._frames: bytes | None = None
        self._deflated: bytes | None = None
        self._joined: bytes | None = None
        self._asgi: list[dict[str, Any]] | None = None
        self._size: int | None = None

    def then(self, payloads: list[Payload]) -> Batch:
        """Return these messages and more behind them."""
        longer = Batch(self.payloads + payloads)
        longer._begin, longer._rest = self, payloads
        return longer

    @property
    def frames(self) -> bytes:
        """All of them as frames, joined, for a transport that takes bytes."""
        if self._frames is None:
            rest = self._rest
            frames = frame(rest[0]) if len(rest) == 1 else b"".join([frame(payload) for payload in rest])
            self._frames = frames if self._begin is None else self._begin.frames + frames
        return self._frames

    def deflated(self, least: int) -> bytes:
        """The same, those of at least `least` bytes compressed; to be asked for with the same number always."""
        if self._deflated is None:
            begin = b"" if self._begin is None else self._begin.deflated(least)
            frames = [deflated_frame(item) if len(item.data) >= least else frame(item) for item in self._rest]
            self._deflated = begin + b"".join(frames)
        return self._deflated

    @property
    def asgi(self) -> list[dict[str, Any]]:
        """All of them as ASGI `websocket.send` messages, for any other server."""
        if self._asgi is None:
            self._asgi = [
                {"type": "websocket.send", "bytes": payload.data}
                if payload.binary
                else {"type": "websocket.send", "text": payload.data.decode()}
                for payload in self.payloads
            ]
        return self._asgi

    @property
    def joined(self) -> bytes:
        """All of them, one after the other, for a stream of bytes."""
        if self._joined is None:
            self._joined = b"".join([payload.data for payload in self.payloads])
        return self._joined

    @property
    def size(self) -> int:
        """Bytes of payload."""
        if self._size is None:
            self._size = sum([len(payload.data) for payload in self.payloads])
        return self._size
