"""The opening handshake (RFC 6455, section 4.2), for requests about which there is no question; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

Headers = Iterable[tuple[bytes, bytes]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ONCE = (b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions")


class Offer(NamedTuple):
    """What a client asks for: its key, the subprotocols and the extensions, as they stand in the header."""

    key: bytes
    subprotocols: list[str]
    extensions: bytes


def offer(headers: Headers) -> Offer | None:
    """Return what is offered by a request with these headers, their names in lower case.

    None if anything is missing, twice there or unusual; whoever reads it more patiently then says what is wrong.
    """
    found: dict[bytes, bytes] = {}
    subprotocols: list[str] = []
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            subprotocols += [token.strip() for token in value.decode("latin-1").split(",")]
        elif name in _ONCE:
            if name in found:
                return None
            found[name] = value
    key = found.get(b"sec-websocket-key", b"")
    if (
        found.get(b"upgrade", b"").lower() == b"websocket"
        and b"upgrade" in [token.strip() for token in found.get(b"connection", b"").lower().split(b",")]
        and found.get(b"sec-websocket-version") == b"13"
        and _is_key(key)
        and all(map(_TOKEN.fullmatch, subprotocols))
    ):
        return Offer(key, subprotocols, found.get(b"sec-websocket-extensions", b""))
    return None


def answer(key: bytes, headers: Headers) -> bytes:
    """Return the response that accepts an offer, with more headers."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        base64.b64encode(digest),
        b"\r\n",
    ]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False
