"""One member's socket: what it sends, what it is sent, and how far it has got in the room's order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

from chat import protocol
from chat.broker.base import Then
from chat.codec import Codec, Item
from chat.events import NOWHERE, Page, Receipt
from chat.exceptions import BrokerUnavailable
from chat.frames import Batch, Payload
from chat.protocol import Body, CloseCode, Draining, User
from chat.rights import Action
from chat.transport import Take, Transport

Receive = Callable[[], Awaitable[Any]]
Demand = Callable[[User, str, Action], Awaitable[None]]


class Home(Protocol):
    """The room, as far as a member can make use of it."""

    name: str

    def post(self, body: Body, origin: str, then: Then, *, remember: bool) -> None:
        """Hand a message to the broker."""

    async def history(self, *, after: int | None, before: int | None, limit: int) -> Page:
        """Read the log."""

    async def typing(self, user: User) -> None:
        """Let everybody know that somebody is writing."""

    def who_is_here(self) -> tuple[list[User], int]:
        """Return the people, or nobody if they are too many to be listed, and how many they are."""

    def pause(self, connection: Connection) -> None:
        """Write to a member no more, until its transport takes up again; if it closes, never."""

    def send_soon(self, connection: Connection, payload: Payload) -> None:
        """Write to one member, in one go with whatever else is due to it in this turn of the loop."""

    def flush(self) -> None:
        """Write what is due, now."""


class Connection:
    """A member of a room. Iterate over it for what the client sends, a str or bytes each, until it leaves.

    It is *live* while the room writes to it, *lagging* while its transport is paused or it is being caught up from
    the log, and *closed* in the end.
    """

    __slots__ = (
        "_demand",
        "_endpoint",
        "_home",
        "_receive",
        "_stopping",
        "_writable",
        "close_code",
        "close_reason",
        "closing",
        "codec",
        "given_up",
        "id",
        "left",
        "live",
        "position",
        "transport",
        "user",
    )

    def __init__(
        self,
        id: str,
        user: User,
        *,
        home: Home,
        codec: Codec,
        transport: Transport,
        receive: Receive,
        stopping: Callable[[Connection], None],
        demand: Demand | None = None,
    ) -> None:
        self.id = id  # worker-number, unique
        self.user = user
        self.codec = codec
        self.transport = transport
        self.live = False
        self.position = NOWHERE  # how far it has got; while it is live, the room knows better
        self.given_up = False  # its endpoint was ended, because the server cannot
        self.left: Callable[[], None] | None = None  # called once it is closed, if no endpoint waits for that
        self.closing = False  # nothing is sent any more
        self.close_code: int | None = None  # set once the socket is closed
        self.close_reason = ""
        self._home = home
        self._endpoint: asyncio.Task[Any] | None = None  # to be ended if the server cannot close
        self._receive: Receive | None = receive
        self._stopping = stopping  # decides when it is let go
        self._demand = demand  # asked before anything is said
        self._writable: asyncio.Event | None = None  # there while somebody waits for a paused transport

    # --- what the client sends ---

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        if self._receive is None:
            raise RuntimeError("what this client sends was handed over to somebody else")
        while (message := await self._receive())["type"] == "websocket.receive":
            if self.closing:
                continue  # said too late
            text: str | None = message.get("text")
            if text is not None:
                return text
            data: bytes = message["bytes"]
            return data
        self.close_code = message.get("code") or 1005
        self.close_reason = message.get("reason") or ""
        self.closed()
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
        Raises `Forbidden` if whoever decides says no, and `BrokerUnavailable`, at once, when the broker is away.
        """
        await self.ask_to_publish()
        answered: asyncio.Future[Receipt | BrokerUnavailable] = asyncio.get_running_loop().create_future()

        def then(outcome: Receipt | BrokerUnavailable) -> None:
            if not answered.done():
                answered.set_result(outcome)

        body = protocol.body(self.user, text, data=data, binary=binary, id=id)
        # Without an id of the client's own nobody can ask for the same message again.
        self.post(body, then, remember=id is not None)
        outcome = await answered
        if isinstance(outcome, BrokerUnavailable):
            raise outcome
        return outcome

    @property
    def asks(self) -> bool:
        """Whether somebody has to be asked before this member says something."""
        return self._demand is not None

    async def ask_to_publish(self) -> None:
        """Raise `Forbidden` if whoever decides says no."""
        if self._demand is not None:
            await self._demand(self.user, self._home.name, Action.PUBLISH)

    def post(self, body: Body, then: Then, *, remember: bool) -> None:
        """Say something as by `publish`, but without waiting or asking: `then` is called with the outcome.

        Its id is remembered, so that it makes no second message, only if it is to `remember`.
        """
        self._home.post(body, self.id, then, remember=remember)

    async def history(self, *, after: int | None = None, before: int | None = None, limit: int = 50) -> Page:
        """Return a page of the room's log: the oldest after `after`, else the newest before `before`, else the newest.

        Raises `BrokerUnavailable`.
        """
        return await self._home.history(after=after, before=before, limit=limit)

    async def typing(self) -> None:
        """Let everybody know that this member is writing; raises as `publish` does."""
        await self.ask_to_publish()
        await self._home.typing(self.user)

    def who_is_here(self) -> tuple[list[User], int]:
        """Return the people in the room, over all workers, and how many they are; above 200, only the number."""
        return self._home.who_is_here()

    # --- what the client is sent ---

    def send(self, *items: Item | Payload | str | bytes) -> None:
        """Send to this member alone, str as a text and bytes as a binary message.

        Never waits. Does nothing once the socket is closed.
        """
        payloads = [self._payload(item) for item in items]
        self.transport.write(Batch([payload for payload in payloads if payload is not None]))

    def send_soon(self, item: Item) -> None:
        """Send to this member alone, in one go with whatever else is due to it in this turn of the loop."""
        payload = self.codec.encode(item)
        if payload is not None and not self.closing:
            self._home.send_soon(self, payload)

    def _payload(self, item: Item | Payload | str | bytes) -> Payload | None:
        if isinstance(item, str):
            return Payload(item.encode())
        if isinstance(item, bytes):
            return Payload(item, binary=True)
        return item if isinstance(item, Payload) else self.codec.encode(item)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection behind what was sent; the iteration then ends. `reason`: at most 123 bytes."""
        if not self.closing:
            self._home.flush()
        self.transport.close(code, reason)
        self.closed()

    def drain(self, seconds: float) -> None:
        """Say that this worker is about to stop, and close after that time; the client comes back elsewhere."""
        self.send(Draining(retry_ms=int(seconds * 1000)))
        asyncio.get_running_loop().call_later(seconds, self.close, CloseCode.RESTART, "this worker stops")

    async def writable(self, stall_timeout: float = 0) -> None:
        """Wait until the transport is not paused, or is closing.

        Raises `TimeoutError` once nothing was read at the other end for `stall_timeout` seconds; 0: never.
        """
        while self.transport.paused and not self.closing:
            if self._writable is None:
                self._writable = asyncio.Event()
            waiting = self.transport.waiting()
            try:
                async with asyncio.timeout(stall_timeout or None):
                    await self._writable.wait()
            except TimeoutError:
                if self.transport.waiting() >= waiting:
                    raise

    # --- what happens to the transport (`transport.Listener`) ---

    def paused(self) -> None:
        self._home.pause(self)

    def resumed(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def closed(self) -> None:
        if not self.closing:
            self.closing = True
            self._home.pause(self)
            self.resumed()
            if self.left is not None:
                # Not now: whoever closes it may be in the middle of a room's members.
                asyncio.get_running_loop().call_soon(self.left)
                self.left = None

    def stays(self) -> None:
        """The endpoint that runs now holds it until it has left."""
        self._endpoint = asyncio.current_task()

    def unclosable(self) -> None:
        self.given_up = True
        if self._endpoint is not None:
            self._endpoint.cancel()

    def stopping(self) -> None:
        self._stopping(self)

    def hand_over(self, take: Take, left: Callable[[], None]) -> bool:
        """Have what the client sends handed to `take` as it comes, and `left` called once the member has left.

        Returns False, and does nothing, where the server cannot: then iterate. If it can, the endpoint may end.
        """
        self.left = left
        if self.closing or not self.transport.hand_over(take):
            self.left = None
            return False
        self._endpoint = self._receive = None  # with the whole request behind it
        return True
