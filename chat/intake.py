"""What a client sends, handed to its handler as it comes: one message after the other, without a task to wake."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from chat.connection import Connection
from chat.protocol import CloseCode

logger = logging.getLogger("chat.intake")

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Handler(Protocol):
    """Takes what one client sends."""

    def take(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a message; the next comes when what is returned, if anything, is done."""

    def left(self) -> None:
        """The client has left."""


class Intake:
    """Hands on messages for as long as nobody has to wait; else listens no more to the client until that is over.

    That is, while its handler waits for something, or while the client itself does not read what it is sent.
    """

    __slots__ = ("_connection", "_handler", "_spawn")

    def __init__(self, handler: Handler, connection: Connection, *, spawn: Spawn) -> None:
        self._handler = handler
        self._connection = connection
        self._spawn = spawn

    def take(self, message: str | bytes) -> None:
        """Take the next message; there is none until the transport listens again."""
        if self._connection.closing:
            return  # said too late
        try:
            rest = self._handler.take(message)
        except Exception:
            logger.exception("a message could not be taken")
            self._give_up()
            return
        if rest is not None or self._connection.transport.paused:
            self._connection.transport.listen(False)
            self._spawn(self._wait(rest))

    async def _wait(self, rest: Awaitable[None] | None) -> None:
        try:
            if rest is not None:
                await rest
        except Exception:
            logger.exception("a message could not be taken")
            self._give_up()
        await self._connection.writable()
        self._connection.transport.listen(True)

    def _give_up(self) -> None:
        self._connection.close(CloseCode.INTERNAL_ERROR, "something went wrong here")
