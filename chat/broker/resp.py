"""One connection to Redis for the hot path: RESP3 on an asyncio protocol, packed and parsed by hiredis.

Why not redis-py: an awaited call and a pub/sub message cost it some 125 µs of CPU, this 4 µs (measured together,
docs/design.md). Commands that are issued in one turn of the event loop leave in one write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import hiredis

from chat.broker.address import Address
from chat.exceptions import BrokerError, BrokerUnavailable
from chat.turn import Turn

MAX_PENDING = 20_000  # commands without an answer yet; more than that means that the broker does not keep up

Answer = Callable[[Any], None]  # takes a reply; or `RedisError`, or `BrokerUnavailable`

_INCOMPLETE = object()
_Push, _Error = hiredis.PushNotification, hiredis.ReplyError


def pack(argument: str | bytes) -> bytes:
    """Return one argument as it stands in a command, for what is put together by hand."""
    data = argument.encode() if isinstance(argument, str) else argument
    return b"$%d\r\n%b\r\n" % (len(data), data)


class RedisError(BrokerError):
    """Redis' own error reply."""


class RedisConnection(asyncio.Protocol):
    """Sends commands, hands out replies in their order, and passes on what Redis pushes.

    When an answer takes longer than `patience` seconds the connection is given up, because replies behind it
    would be late as well. `lost` is done when the connection is; every command then outstanding raises
    `BrokerUnavailable`.
    """

    def __init__(self, *, patience: float, on_push: Callable[[list[Any]], None], turn: Turn) -> None:
        self.patience = patience
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_push = on_push
        self._turn = turn  # ends with every read, so that what came in it together goes on together
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._pending: deque[tuple[Answer, float]] = deque()  # who waits for a reply, in their order, and since when
        self._unsent: list[bytes] = []  # packed in this turn of the loop
        self._watch: asyncio.TimerHandle | None = None  # looks at the oldest command without an answer
        self.reason = "the connection to the broker was lost"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        address: Address,
        *,
        patience: float,
        on_push: Callable[[list[Any]], None] = lambda _: None,
        turn: Turn | None = None,
    ) -> AsyncIterator[RedisConnection]:
        """Connect and sign in, close at the end of the block; raises `BrokerUnavailable` or `RedisError`."""
        connection = cls(patience=patience, on_push=on_push, turn=turn or Turn())
        try:
            try:
                async with asyncio.timeout(patience):
                    await connection._connect(address)
                    await connection._sign_in(address)
            except TimeoutError:
                raise BrokerUnavailable(f"no answer within {patience:g} s") from None
            except OSError as error:
                raise BrokerUnavailable(f"cannot be reached: {error}") from None
            yield connection
        finally:
            connection.close("the link to the broker is closed")

    async def _connect(self, address: Address) -> None:
        if address.path is not None:
            await self._loop.create_unix_connection(lambda: self, address.path)
        else:
            host, port = await address.locate()
            await self._loop.create_connection(lambda: self, host, port, ssl=address.tls)

    async def _sign_in(self, address: Address) -> None:
        signature = () if address.password is None else ("AUTH", address.username, address.password)
        await self.call("HELLO", "3", *signature, "SETNAME", "chat")
        if address.db:
            await self.call("SELECT", address.db)

    def call(self, *command: str | bytes | int | float) -> asyncio.Future[Any]:
        """Send a command; the future is its reply, or raises `RedisError` or `BrokerUnavailable`."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def settle(reply: Any) -> None:
            if future.done():
                pass  # nobody waits any more
            elif isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

        self.ask(settle, hiredis.pack_command(command))  # type: ignore[arg-type]
        return future

    def ask(self, answer: Answer, *command: bytes) -> None:
        """Send a packed command and have `answer` called with its reply, as soon as it is read; it must not raise.

        The command may come in pieces, which are joined when they leave. Raises `BrokerUnavailable` if it cannot be
        sent.
        """
        if len(self._pending) >= MAX_PENDING:
            raise BrokerUnavailable("the broker does not keep up")
        self._send(*command)
        now = self._loop.time()
        self._pending.append((answer, now))
        if self._watch is None:
            self._watch = self._loop.call_at(now + self.patience, self._look_at_oldest)

    def post(self, *command: str | bytes | int | float) -> None:
        """Send a command that has no reply of its own, such as SUBSCRIBE in RESP3."""
        self._send(hiredis.pack_command(command))  # type: ignore[arg-type]

    def _send(self, *command: bytes) -> None:
        if self._transport is None or self.lost.done():
            raise BrokerUnavailable(self.reason)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += command

    def close(self, reason: str) -> None:
        """Give the connection up, now, and say why to whoever waits for a reply."""
        if self.lost.done():
            return
        self.reason = reason
        if self._transport is None:
            self.connection_lost(None)
        else:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _look_at_oldest(self) -> None:
        self._watch = None
        if not self._pending:
            return
        due = self._pending[0][1] + self.patience
        if due > self._loop.time():
            self._watch = self._loop.call_at(due, self._look_at_oldest)
        else:
            self.close(f"the broker did not answer within {self.patience:g} s")

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._turn.begin()
        try:
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                if type(reply) is _Push:
                    self._on_push(reply)
                else:
                    answer, _ = self._pending.popleft()
                    answer(RedisError(str(reply)) if isinstance(reply, _Error) else reply)
        except (hiredis.ProtocolError, IndexError):
            self.close("the broker sent something that is not RESP")
        finally:
            self._turn.end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
        while self._pending:
            answer, _ = self._pending.popleft()
            answer(BrokerUnavailable(self.reason))
