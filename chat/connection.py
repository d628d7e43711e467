"""One member's socket: what it sends, what it is sent, and how far it has got in the room's order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from chat import protocol
from chat.codec import Codec, Item
from chat.events import Position, Receipt
from chat.exceptions import ConnectionClosed
from chat.frames import Batch, Payload
from chat.protocol import Body, User
from chat.transport import Transport

Receive = Callable[[], Awaitable[Any]]
Publish = Callable[[Body, str, bool], Awaitable[Receipt]]


class Connection:
    """A member of a room. Iterate over it for what the client sends, a str or bytes each, until it leaves.

    It is *live* while the room writes to it, *lagging* while its transport is paused or it is being caught up from
    the log, and *closed* in the end.
    """

    __slots__ = (
        "_publish",
        "_receive",
        "_writable",
        "close_code",
        "close_reason",
        "codec",
        "id",
        "live",
        "position",
        "transport",
        "user",
    )

    def __init__(
        self, id: str, user: User, *, codec: Codec, transport: Transport, receive: Receive, publish: Publish
    ) -> None:
        self.id = id  # worker-number, unique
        self.user = user
        self.codec = codec
        self.transport = transport
        self.live = False
        self.position = Position("", 0)  # how far it has got; while it is live, the room knows better
        self.close_code: int | None = None  # set once the socket is closed
        self.close_reason = ""
        self._publish = publish
        self._receive = receive
        self._writable: asyncio.Event | None = None  # there while somebody waits for a paused transport

    # --- what the client sends ---

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            text: str | None = message.get("text")
            if text is not None:
                return text
            data: bytes = message["bytes"]
            return data
        self.close_code = message.get("code") or 1005
        self.close_reason = message.get("reason") or ""
        self.resumed()
        raise StopAsyncIteration

    async def publish(
        self,
        text: str | None = None,
        *,
        data: Any = None,
        binary: bytes | None = None,
        id: str | None = None,
    ) -> Receipt:
        """Say something to the room, the sender included; exactly one of `text`, `data` (JSON) and `binary`.

        Returns once the broker has it. The same `id` again, by the same user, makes no second message.
        Raises `BrokerUnavailable`, at once, when the broker is away.
        """
        body = protocol.body(self.user, text, data=data, binary=binary, id=id)
        # Without an id of the client's own nobody can ask for the same message again.
        return await self._publish(body, self.id, id is not None)

    # --- what the client is sent ---

    def send(self, *items: Item | Payload) -> None:
        """Send to this member alone; never waits. Does nothing once the socket is closed."""
        payloads = [item if isinstance(item, Payload) else self.codec.encode(item) for item in items]
        self.transport.write(Batch([payload for payload in payloads if payload is not None]))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection behind what was sent; the iteration then ends. `reason`: at most 123 bytes."""
        self.transport.close(code, reason)

    async def writable(self) -> None:
        """Wait until the transport is not paused; raises `ConnectionClosed`."""
        while self.transport.paused:
            if self.close_code is not None:
                raise ConnectionClosed(self.close_code, self.close_reason)
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    def resumed(self) -> None:
        """Wake whoever waits for `writable`: the transport took up again, or the socket is closed."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None
