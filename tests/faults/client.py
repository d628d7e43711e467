"""A client of chat.v1 as it should be, which records all it sees: it resumes, sends again, and gives way to a drain."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from tests.checker import Event, History, Place, Visit, moved
from tests.servers import ChatServer, TcpProxy, until

Target = ChatServer | TcpProxy

CHAT_V1 = Subprotocol("chat.v1")
RETRY = 0.05, 0.3  # seconds, between which a client waits before it tries again


class Client:
    """Stays in a room until its block ends, whatever happens to the connection.

    `targets` are the servers, or proxies before them, between which it moves on when a connection is lost. What was
    published and not acknowledged is sent again, under the same id. Every event goes to `history`.
    """

    def __init__(
        self,
        name: str,
        room: str,
        targets: Target | Sequence[Target],
        history: History | None = None,
        *,
        rand: random.Random | None = None,
        query: dict[str, str] | None = None,
        receive_buffer: int = 0,
        **options: Any,
    ) -> None:
        self.name = name
        self.events: list[Event] = []  # of all connections
        self.closes: list[int] = []  # the code of every connection that ended
        self.refusals: list[int] = []  # the status of every handshake that was refused
        self.kinds: Counter[str] = Counter()  # events by type
        self.at: Place | None = None  # up to where it has seen everything
        self.unacknowledged: dict[str, str] = {}  # texts by message id, as they were published
        self.acks: dict[str, Place] = {}  # by message id
        self.connected = 0  # how often it was welcomed
        self.live = False  # it has been welcomed, and the connection is not known to be lost
        self._targets = [targets] if isinstance(targets, ChatServer | TcpProxy) else list(targets)
        self._turn = 0  # which of them is next
        self._room = room
        self._query = {"token": name, "name": name, **(query or {})}
        self._history = history if history is not None else History()
        self._receive_buffer = receive_buffer  # bytes that the kernel takes in while nobody reads; 0: its default
        self._options = options
        self._rand = rand or random.Random(name)
        self._numbers = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._away = asyncio.Event()  # cleared while it is told to stay away
        self._away.set()
        self._stalled = False
        self._later: set[asyncio.TimerHandle] = set()  # what is to be sent again after a time

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay(), name=f"client {self.name}")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        for handle in self._later:
            handle.cancel()
        if self._stalled:
            self.drop()  # a closing handshake would never end
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    # --- what a test makes it do ---

    def publish(self, text: str, *, id: str | None = None) -> str:
        """Say something now, or once it is connected; returns the message's id."""
        id = id or f"{self.name}-{next(self._numbers)}"
        self.unacknowledged[id] = text
        self._say(id)
        return id

    def send(self, **command: Any) -> None:
        """Send a command, if it is connected."""
        if self._socket is not None:
            # Not websockets' own send, which would wait for a server that does not read.
            protocol = self._socket.protocol
            with suppress(ConnectionClosed, RuntimeError):
                if protocol.state.name == "OPEN":
                    protocol.send_text(json.dumps(command).encode())
                    self._socket.send_data()

    def drop(self, *, to: int | None = None) -> None:
        """Lose the connection without a word; it is made again, to the target of that number."""
        if to is not None:
            self._turn = to
        if self._socket is not None:
            self._socket.transport.abort()

    def leave(self) -> None:
        """Lose the connection, and stay away until `come_back`."""
        self._away.clear()
        self.drop()

    def come_back(self) -> None:
        self._away.set()

    def stall(self) -> None:
        """Stop reading, on this connection."""
        self._stalled = True
        if self._socket is not None:
            self._socket.transport.pause_reading()

    def read_on(self) -> None:
        self._stalled = False
        if self._socket is not None and not self._socket.transport.is_closing():
            self._socket.transport.resume_reading()

    # --- what a test waits for ---

    async def welcomed(self, times: int = 1, *, within: float = 30) -> Event:
        """Wait until it was welcomed so many times; returns the last welcome."""
        await self._until(lambda: self.connected >= times, f"{self} is welcomed ({times})", within=within)
        return self.last("welcome")

    async def acknowledged(self, *, within: float = 30) -> None:
        """Wait until everything it published is acknowledged."""
        await self._until(lambda: not self.unacknowledged, f"{self} has every ack", within=within)

    @property
    def last_ack(self) -> Place:
        """Where the last message stands that was acknowledged."""
        return next(reversed(self.acks.values()))

    async def got(self, text: str, *, within: float = 30) -> None:
        await self._until(lambda: text in self.texts(), f"{self} got {text!r}", within=within)

    async def got_new(self, text: str) -> None:
        """Wait until a text is the newest; quick to look for, however much was said."""
        async with asyncio.timeout(30):
            while not self.events or self.events[-1].get("text") != text:  # noqa: ASYNC110, `until` is too coarse
                await asyncio.sleep(0.001)

    async def reached(self, place: Place, *, within: float = 30) -> None:
        """Wait until it has seen everything up to a place."""
        await self._until(
            lambda: self.at is not None and self.at.epoch == place.epoch and self.at.offset >= place.offset,
            f"{self} has seen everything up to {place}",
            within=within,
        )

    async def sees(self, kind: str, times: int = 1, *, within: float = 30, **fields: Any) -> Event:
        """Wait for so many events of a type, with these fields; returns the last."""
        found: list[Event] = []

        def there() -> bool:
            found[:] = [e for e in self.of(kind) if all(e.get(name) == value for name, value in fields.items())]
            return len(found) >= times

        await self._until(there, f"{self} sees {kind} {fields} ({times})", within=within)
        return found[-1]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def last(self, kind: str) -> Event:
        return self.of(kind)[-1]

    def people(self) -> set[str]:
        """Return the names of those who are here, as far as it was told."""
        here: dict[str, str] = {}
        for event in self.events:
            if event["type"] == "welcome":
                here = {user["id"]: user["name"] for user in event["members"]}
            elif event["type"] == "presence":
                here.update({user["id"]: user["name"] for user in event["joined"]})
                for user in event["left"]:
                    here.pop(user["id"], None)
        return set(here.values())

    def texts(self) -> list[str]:
        return [event["text"] for event in self.of("message")]

    def __str__(self) -> str:
        return f"{self.name} (at {self.at}, {self.connected} connections, closed by {self.closes}, {dict(self.kinds)})"

    async def _until(self, condition: Callable[[], bool], what: str, *, within: float) -> None:
        def met() -> bool:
            if self._task is not None and self._task.done():
                self._task.result()  # it met with something that a good client does not stand
            return condition()

        await until(met, what, within=within)

    # --- the connection ---

    async def _stay(self) -> None:
        while True:
            await self._away.wait()
            target = self._targets[self._turn % len(self._targets)]
            self._turn += 1
            try:
                await self._converse(target)
            except (OSError, EOFError, TimeoutError, InvalidHandshake, InvalidMessage, ConnectionClosed) as error:
                if isinstance(error, InvalidStatus):
                    self.refusals.append(error.response.status_code)
                    if self.refusals[-1] not in {429, 500, 502, 503}:
                        raise  # a good client does not try that again
            finally:
                self.live = False
                self._socket = None
            await asyncio.sleep(self._rand.uniform(*RETRY))

    async def _converse(self, target: Target) -> None:
        query = {**self._query, **({"since": f"{self.at.epoch}:{self.at.offset}"} if self.at else {})}
        url = f"ws://127.0.0.1:{target.port}/items/{self._room}/ws?{urlencode(query)}"
        options: dict[str, Any] = {
            "proxy": None,
            "compression": None,
            "max_queue": None,
            "max_size": None,
            "ping_interval": None,
        }
        since = self.at
        if self._receive_buffer:
            options["sock"] = await self._narrow_socket(target.port)
        async with connect(
            url, subprotocols=[CHAT_V1], close_timeout=0.2, open_timeout=5, **{**options, **self._options}
        ) as connection:
            self._socket = connection
            if self._stalled:
                connection.transport.pause_reading()
            visit = self._history.visit(self.name, since=since)
            try:
                async for frame in connection:
                    self._take(json.loads(frame), visit)
                    if not self._away.is_set():
                        return
            finally:
                self.closes.append(connection.close_code or 1006)

    async def _narrow_socket(self, port: int) -> socket.socket:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        narrow.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", port))
        except BaseException:
            narrow.close()
            raise
        return narrow

    def _take(self, event: Event, visit: Visit) -> None:
        visit.events.append(event)
        self.events.append(event)
        self.kinds[event["type"]] += 1
        self.at = moved(self.at, event)
        match event["type"]:
            case "welcome":
                self.live = True
                self.connected += 1
                for id in list(self.unacknowledged):
                    self._say(id)
            case "ack":
                self.unacknowledged.pop(event["id"], None)
                self.acks[event["id"]] = Place(event["epoch"], event["offset"])
            case "error" if event["code"] in {"unavailable", "rate_limited"} and "id" in event:
                self._after(event.get("retry_ms", 1000) / 1000, lambda: self._say(event["id"]))

    def _say(self, id: str) -> None:
        if self.live and id in self.unacknowledged:
            self.send(type="publish", id=id, text=self.unacknowledged[id])

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._later = {handle for handle in self._later if not handle.cancelled() and handle.when() > _now()}
        self._later.add(asyncio.get_running_loop().call_later(seconds, call))


def _now() -> float:
    return asyncio.get_running_loop().time()
