"""The client side of RFC 6455, as much of it as a load generator needs, made to cost less than any server; pure."""

from __future__ import annotations

import base64
import os

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A

NUMBER = b"no="  # before a message's number in its text, and nowhere else
DIGITS = 10

_KEY = base64.b64encode(os.urandom(16)).decode()
_MASK = os.urandom(4)

Entry = tuple[int, int]  # a message's offset (0 if the server tells none) and its number


class Piece:
    """What arrived at once, read. The same bytes come to many members, so it is read for the first one only."""

    __slots__ = ("data", "entries", "others", "rest", "sent")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.entries: list[Entry] = []  # its messages
        self.others: list[tuple[int, bytes]] = []  # the first byte and the payload of every other frame
        self.rest = b""  # the beginning of a frame
        self.sent: list[float] = []  # when the messages were sent


def read(data: bytes, message: bytes | None) -> Piece:
    """Return what is in bytes that a server sent; `message`: how a message begins, up to its offset, if it tells it."""
    piece = Piece(data)
    at, end = 0, len(data)
    while end - at >= 2:
        length, start = data[at + 1], at + 2
        if length > 125:
            start += 2 if length == 126 else 8
            if start > end:
                break
            length = int.from_bytes(data[at + 2 : start])
        after = start + length
        if after > end:
            break
        entries = [] if data[at] >= CLOSE else _entries(data, start, after, message)
        if entries:
            piece.entries += entries
        else:
            piece.others.append((data[at], data[start:after]))
        at = after
    piece.rest = data[at:]
    return piece


def _entries(data: bytes, start: int, end: int, message: bytes | None) -> list[Entry]:
    """Return the messages in one frame; some servers put several into one, and those tell no offsets."""
    offset = 0
    if message is not None:
        if not data.startswith(message, start, end):
            return []
        start += len(message)
        offset = int(data[start : data.index(b",", start)])
    entries = []
    while (at := data.find(NUMBER, start, end)) >= 0:
        start = at + len(NUMBER) + DIGITS
        entries.append((offset, int(data[start - DIGITS : start])))
    return entries


def text_of(number: int, size: int) -> str:
    """Return a message of `size` characters, or a few more if it must be, that carries its number."""
    return f"{NUMBER.decode()}{number:0{DIGITS}d} ".ljust(size, "x")


def request(target: str, *, host: str, subprotocol: str | None) -> bytes:
    """Return the opening handshake; that of one process always has the same key."""
    offered = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
    ).encode()


def client_frame(payload: bytes, *, first: int = TEXT) -> bytes:
    """Return a masked frame (RFC 6455, section 5.3), all of one process with the same mask."""
    length = len(payload)
    if length < 126:
        header = bytes((first, 0x80 | length))
    elif length < 65536:
        header = bytes((first, 0x80 | 126)) + length.to_bytes(2)
    else:
        header = bytes((first, 0x80 | 127)) + length.to_bytes(8)
    key = (_MASK * (length // 4 + 1))[:length]
    masked = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)
    return header + _MASK + masked
