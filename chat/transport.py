"""The way from a connection to its socket: what every transport offers, and the one that works on any ASGI server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from chat.frames import Batch

STOPPING = "chat.stopping"  # under this name it puts a list of whom to call when it is about to stop
CLOSE_TIMEOUT = 10.0  # seconds in which a client that does not read can still learn why it is closed
EXTENSION = "chat.transport"  # under this name a server that takes ready-made frames puts a `Transport` into the scope

Take = Callable[[str | bytes], None]
Send = Callable[[Any], Awaitable[None]]


class Listener(Protocol):
    """Who is told what happens to a transport."""

    def paused(self) -> None:
        """Too much waits to be sent."""

    def resumed(self) -> None:
        """Enough of it was sent."""

    def closed(self) -> None:
        """Nothing that is written from now on is sent."""

    def unclosable(self) -> None:
        """The client does not read, and the server waits for it rather than close: end the endpoint."""

    def stopping(self) -> None:
        """The server is about to stop."""


class Transport(Protocol):
    """Takes what is to be sent and never makes the caller wait.

    `paused` once more than `limit` bytes wait to be sent, until half of them are gone. Whoever writes while it is
    paused makes the heap grow: nobody should.
    """

    paused: bool
    compress_from: int  # bytes; larger messages are to be sent compressed; 0: none

    @property
    def write_frames(self) -> Callable[[bytes], None] | None:
        """The quick way in, if it takes frames; not to be used once it closes."""

    def hold(self) -> None:
        """Let the answer to the handshake leave with what is written in the same turn of the loop, if there is any."""

    def attach(self, listener: Listener, *, limit: int) -> None:
        """Set who is told, and the limit in bytes."""

    def write(self, batch: Batch) -> None:
        """Send, or do nothing once the socket is closed."""

    def waiting(self) -> int:
        """Return how many bytes wait to be sent."""

    def hand_over(self, take: Take) -> bool:
        """Call `take` with each message from now on, as it comes; False if that cannot be done."""

    def listen(self, on: bool) -> None:
        """Take what the client sends, or leave it in the network for now; only once it was handed over."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake behind what was written; the reader then sees the disconnect.

        A client that does not read is not waited for.
        """

    async def closed(self) -> None:
        """Wait until the closing handshake was begun; for a server that drops the socket when the endpoint ends."""


class Form(NamedTuple):
    """The ASGI messages for a batch, and for the end."""

    messages: Callable[[Batch], list[dict[str, Any]]]
    close: Callable[[int, str], dict[str, Any]]


WEBSOCKET = Form(
    lambda batch: batch.asgi,
    lambda code, reason: {"type": "websocket.close", "code": code, "reason": reason},
)
EVENT_STREAM = Form(
    lambda batch: [{"type": "http.response.body", "body": batch.joined, "more_body": True}],
    lambda code, reason: {"type": "http.response.body", "body": b"", "more_body": False},
)


class AsgiTransport:
    """Sends by ASGI's `send`, from one task, out of a queue that pauses the connection when it is full."""

    write_frames: Callable[[bytes], None] | None = None
    compress_from = 0

    def __init__(self, send: Send, form: Form) -> None:
        self.paused = False
        self._send = send
        self._form = form
        self._queue: deque[Batch] = deque()
        self._waiting = 0  # bytes
        self._limit = 0
        self._close: dict[str, Any] | None = None
        self._wake = asyncio.Event()
        self._listener: Listener | None = None
        self._ended = asyncio.Event()

    def hold(self) -> None:
        pass  # the server has answered already

    def attach(self, listener: Listener, *, limit: int) -> None:
        self._listener = listener
        self._limit = limit

    def write(self, batch: Batch) -> None:
        if self._close is not None:
            return
        self._queue.append(batch)
        self._waiting += batch.size
        self._wake.set()
        if self._waiting > self._limit and not self.paused:
            self.paused = True
            if self._listener is not None:
                self._listener.paused()

    def waiting(self) -> int:
        return self._waiting

    def hand_over(self, take: Take) -> bool:
        return False  # ASGI lets an endpoint ask for messages, nothing else

    def listen(self, on: bool) -> None:
        raise NotImplementedError("nothing was handed over")

    def close(self, code: int, reason: str) -> None:
        if self._close is None:
            self._close = self._form.close(code, reason)
            self._wake.set()
            self._say_closed()
            if self.paused:
                self._queue.clear()
                asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._insist)

    async def closed(self) -> None:
        await self._ended.wait()

    async def run(self) -> None:
        """Send until closed; ends by itself when the client is gone."""
        try:
            while True:
                while self._queue:
                    await self._send_one(self._queue.popleft())
                if self._close is not None:
                    await self._send(self._close)
                    return
                self._wake.clear()
                await self._wake.wait()
        except Exception:
            # Every server has an exception of its own to say that the client is gone; the reader hears of it as well.
            self._queue.clear()
            self._close = self._close or {}
            self._say_closed()
        finally:
            self._ended.set()

    async def _send_one(self, batch: Batch) -> None:
        for message in self._form.messages(batch):
            await self._send(message)
        self._waiting -= batch.size
        if self.paused and self._waiting <= self._limit // 2:
            self.paused = False
            if self._listener is not None:
                self._listener.resumed()

    def _insist(self) -> None:
        if self._listener is not None and not self._ended.is_set():
            self._listener.unclosable()

    def _say_closed(self) -> None:
        if self._listener is not None:
            self._listener.closed()
