"""The way from a connection to its socket: what every transport offers, and the one that works on any ASGI server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from chat.frames import Batch

EXTENSION = "chat.transport"  # under this name a server that takes ready-made frames puts a `Transport` into the scope

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Transport(Protocol):
    """Takes what is to be sent and never makes the caller wait.

    `paused` once more than `limit` bytes wait to be sent, until they have gone down again; `on_pause` and `on_resume`
    are called at these moments. Whoever writes while it is paused makes the heap grow: nobody should.
    """

    paused: bool

    def attach(
        self,
        *,
        limit: int,
        on_pause: Callable[[], None],
        on_resume: Callable[[], None],
        on_shutdown: Callable[[], None],
    ) -> None:
        """Set the limit in bytes, and who is to be told; `on_shutdown`: that the server is about to stop."""

    def write(self, batch: Batch) -> None:
        """Send, or do nothing once the socket is closed."""

    def waiting(self) -> int:
        """Return how many bytes wait to be sent."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake behind what was written; the reader then sees the disconnect.

        A client that does not read is not waited for.
        """


class AsgiTransport:
    """Sends by ASGI's `send`, from one task, out of a queue that pauses the connection when it is full."""

    def __init__(self, send: Send, *, give_up: Callable[[], None]) -> None:
        self.paused = False
        self._send = send
        self._give_up = give_up  # ends the endpoint although the server cannot send
        self._queue: deque[Batch] = deque()
        self._waiting = 0  # bytes
        self._limit = 0
        self._close: dict[str, Any] | None = None
        self._wake = asyncio.Event()
        self._on_pause: Callable[[], None] = lambda: None
        self._on_resume: Callable[[], None] = lambda: None

    def attach(
        self,
        *,
        limit: int,
        on_pause: Callable[[], None],
        on_resume: Callable[[], None],
        on_shutdown: Callable[[], None],
    ) -> None:
        self._limit = limit
        self._on_pause = on_pause
        self._on_resume = on_resume

    def write(self, batch: Batch) -> None:
        if self._close is not None:
            return
        self._queue.append(batch)
        self._waiting += batch.size
        self._wake.set()
        if self._waiting > self._limit and not self.paused:
            self.paused = True
            self._on_pause()

    def waiting(self) -> int:
        return self._waiting

    def close(self, code: int, reason: str) -> None:
        if self._close is None:
            self._close = {"type": "websocket.close", "code": code, "reason": reason}
            self._wake.set()
            if self.paused:
                self._give_up()

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

    async def _send_one(self, batch: Batch) -> None:
        for message in batch.asgi:
            await self._send(message)
        self._waiting -= batch.size
        if self.paused and self._waiting <= self._limit // 2:
            self.paused = False
            self._on_resume()
