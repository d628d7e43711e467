"""One member of a room on a bare asyncio protocol: counts what is delivered to it, answers pings, comes back."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any, cast

from chat.bench import wire
from chat.bench.advice import refusal, refused_handshake
from chat.bench.wire import Entry
from chat.exceptions import ChatError
from chat.protocol import CloseCode, ErrorCode

if TYPE_CHECKING:
    from chat.bench.room import Room

# After these a client does not come back by itself: see docs/protocol.md.
_FINAL = {CloseCode.MALFORMED, CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN, CloseCode.TOO_LARGE}

_ACK = b'{"type":"ack","id":"'
_IGNORED = (b'{"type":"presence"', b'{"type":"typing"', b'{"type":"pong"')


class Handshake(asyncio.Protocol):
    """Opens the WebSocket, then leaves the transport to a `Member`. `done` raises what went wrong."""

    def __init__(self, member: Member, request: bytes, hello: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._member = member
        self._request = request
        self._hello = hello  # frames to send at once
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, rest = self._answer.partition(b"\r\n\r\n")
        if not separator:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self._refuse(head, rest)
            return
        self._transport.set_protocol(self._member)
        self._transport.write(self._hello)
        self._member.connection_made(self._transport)
        if not self.done.done():
            self.done.set_result(None)
        if rest:
            self._member.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionError("the connection was closed during the handshake"))

    def _refuse(self, head: bytes, body: bytes) -> None:
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is None or len(body) >= int(length[1]):
            self._fail(refused_handshake(head, body))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        self._transport.abort()


class Member(asyncio.Protocol):
    """Takes down what is delivered to it. The hot loop of the generator is `data_received`."""

    def __init__(self, room: Room, number: int) -> None:
        self.room = room
        self.number = number
        self.got = 0
        self.strayed: list[Entry] | None = None  # all it got, once that is not what others got
        self.sampled = False  # whether its latencies are kept
        self.connected = False
        self.worker = ""  # which one it is on, as far as is told
        self.epoch = ""
        self.back_at = 0.0  # when the server asked it to come back, by `time.perf_counter`
        self.unsaid: dict[int, bytes] = {}  # what it said, by number, and is not acknowledged
        self.greeted: asyncio.Future[None] | None = None  # while it waits to be let in
        self._begun = 0  # the offset at which it entered
        self._closed: tuple[int, str] | None = None  # code and reason of the server's close
        self._rest = b""  # the beginning of a frame

    @property
    def offset(self) -> int:
        """The offset of the last message it got."""
        if self.strayed is not None:
            return self.strayed[-1][0]
        return self.room.ledger.order[self.got - 1][0] if self.got else self._begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self.connected = True
        self._closed, self._rest = None, b""
        if self.room.dialect.message is None:
            self._let_in()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        room = self.room
        piece = room.piece
        if piece.data != data:
            piece = room.read(data)
        self._rest = piece.rest
        for first, payload in piece.others:
            self._other(first, payload)
        entries = piece.entries
        if not entries:
            return
        before = self.got
        self.got = after = before + len(entries)
        if self.strayed is not None:
            self.strayed += entries
        elif room.ledger.order[before:after] != entries and not room.ledger.fits(before, entries):
            self.strayed = room.ledger.order[:before] + entries
        if self.sampled:
            now = time.perf_counter()
            room.latencies.extend([now - sent for sent in piece.sent])
        if before < room.due <= after:
            room.lacking -= 1
            if not room.lacking:
                room.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        code, reason = self._closed or (0, "")
        said = f"closed with {code} {reason}".rstrip() if code else str(exc or "closed by the server")
        error: ChatError | ConnectionError = ConnectionError(f"a member lost its connection: {said}")
        if code == CloseCode.RATE_LIMITED or code in _FINAL:
            error = refusal(code, str(error))
        if self.greeted is not None and not self.greeted.done():
            self.greeted.set_exception(refusal(code, f"a member was refused: {said}") if code else error)
        else:
            self.room.parted(self, error)

    def say(self, number: int, payload: bytes) -> None:
        """Send a message; one that must be acknowledged is kept, and sent again if the connection is lost."""
        frame = wire.client_frame(payload)
        if self.room.dialect.message is not None:
            self.unsaid[number] = frame
        if self.connected:
            self.transport.write(frame)

    def say_again(self) -> None:
        """Send whatever was not acknowledged; its number is its id, so nothing becomes two messages."""
        for frame in list(self.unsaid.values()):
            self.transport.write(frame)

    def _let_in(self) -> None:
        if self.greeted is not None and not self.greeted.done():
            self.greeted.set_result(None)

    def _other(self, first: int, payload: bytes) -> None:
        if first == wire.PING:
            self.transport.write(wire.client_frame(payload, first=wire.PONG))
        elif first == wire.CLOSE:
            self._closed = int.from_bytes(payload[:2]), payload[2:].decode()
            self.transport.write(wire.client_frame(payload[:2], first=wire.CLOSE))
        elif payload.startswith(_ACK):
            number = int(payload[len(_ACK) : payload.index(b'"', len(_ACK))])
            self.unsaid.pop(number, None)
            self.room.acknowledged.add(number)
        elif self.room.dialect.message is not None and not payload.startswith(_IGNORED):
            self._event(json.loads(payload))

    def _event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "welcome":
                self._welcome(event)
            case "error":
                self._error(event)
            case "gap":
                self.room.gaps += 1
            case "draining":
                self.back_at = time.perf_counter() + event["retry_ms"] / 1000

    def _welcome(self, event: dict[str, Any]) -> None:
        if not self.epoch:
            self._begun = event["offset"]
        self.epoch = event["epoch"]
        self.worker = event["connection"].rpartition("-")[0]
        self.room.limits = event["limits"]
        self._let_in()

    def _error(self, event: dict[str, Any]) -> None:
        said = f"the server answered: {event['message']}"
        if event["code"] != ErrorCode.UNAVAILABLE:
            self.room.failed(refusal(event["code"], said))
            return
        self.room.unavailable += 1
        frame = self.unsaid.get(int(event.get("id") or -1))
        if frame is not None:
            asyncio.get_running_loop().call_later(event.get("retry_ms", 1000) / 1000, self._repeat, frame)

    def _repeat(self, frame: bytes) -> None:
        if self.connected:
            self.transport.write(frame)
