"""The client side of RFC 6455 on bare asyncio protocols, made to cost less than any server it measures.

It knows just enough: the handshake, masked text frames out, the headers of frames in, ping and close. Of what comes in
it counts how often a message's mark occurs; only samples read the number behind it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from typing import Protocol, cast

PING, CLOSE = 0x89, 0x88
PONG = 0x8A
NUMBER = b"no="  # before a message's number in its text, and nowhere else
DIGITS = 10

_KEY = base64.b64encode(os.urandom(16)).decode()
_MASK = os.urandom(4)


class Room(Protocol):
    """Who is told of deliveries."""

    due: int  # the message, counted from 1, that not everybody has yet
    lacking: int  # members who have not got it
    sent_at: list[float]  # by message number

    def advance(self) -> None:
        """Everybody has got message `due`."""

    def lost(self, reason: str) -> None:
        """A member has lost its connection."""


class Handshake(asyncio.Protocol):
    """Opens the WebSocket, then leaves the transport to a `Member`. `opened` raises `ConnectionError` if refused."""

    def __init__(self, target: str, member: Member, *, subprotocol: str | None = None, hello: bytes = b"") -> None:
        self.opened: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._target = target
        self._subprotocol = subprotocol
        self._hello = hello  # frames to send at once
        self._member = member
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        offered = f"Sec-WebSocket-Protocol: {self._subprotocol}\r\n" if self._subprotocol else ""
        self._transport.write(
            f"GET {self._target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, rest = self._answer.partition(b"\r\n\r\n")
        if not separator:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self._refuse(head.split(b"\r\n")[0].decode())
            return
        self._transport.set_protocol(self._member)
        self._member.connection_made(self._transport)
        self._transport.write(self._hello)
        if rest:
            self._member.data_received(rest)
        self.opened.set_result(self._member)

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("closed during the handshake")

    def _refuse(self, reason: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"{self._target}: {reason}"))
        self._transport.abort()


class Member(asyncio.Protocol):
    """Counts what is delivered to it."""

    def __init__(self, room: Room) -> None:
        self.got = 0
        self._room = room
        self._rest = b""  # the beginning of a frame

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end, got = 0, len(data), 0
        while end - at >= 2:
            length = data[at + 1]
            start = at + 2
            if length > 125:
                start += 2 if length == 126 else 8
                if start > end:
                    break
                length = int.from_bytes(data[at + 2 : start])
            after = start + length
            if after > end:
                break
            if data[at] >= CLOSE:
                self._control(data[at], data[start:after])
            else:
                got += self.delivered(data, start, after)
            at = after
        if at < end:
            self._rest = data[at:]
        if got:
            before, self.got = self.got, self.got + got
            room = self._room
            if before < room.due <= self.got:
                room.lacking -= 1
                if not room.lacking:
                    room.advance()

    def delivered(self, data: bytes, start: int, end: int) -> int:
        """Return how many messages are in a frame; some servers put several into one."""
        return data.count(NUMBER, start, end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.lost(f"a member lost its connection: {exc or 'closed by the server'}")

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self.transport.write(client_frame(payload, first=PONG))
        elif kind == CLOSE:
            self._room.lost(f"the server closed: {int.from_bytes(payload[:2])} {payload[2:].decode()}")


class Sample(Member):
    """Reads the number out of each message: when it came after it was sent, and after which other."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.numbers: list[int] = []
        self.latencies: list[float] = []  # seconds

    def delivered(self, data: bytes, start: int, end: int) -> int:
        now, got = time.perf_counter(), 0
        while (at := data.find(NUMBER, start, end)) >= 0:
            start = at + len(NUMBER) + DIGITS
            number = int(data[start - DIGITS : start])
            self.numbers.append(number)
            self.latencies.append(now - self._room.sent_at[number])
            got += 1
        return got


def text_of(number: int, size: int) -> str:
    """Return a message of `size` characters that carries its number."""
    return f"{NUMBER.decode()}{number:0{DIGITS}d} ".ljust(size, "x")


def client_frame(payload: bytes, *, first: int = 0x81) -> bytes:
    """Return a masked frame (RFC 6455, section 5.3), all of one process with the same key."""
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
