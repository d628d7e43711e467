"""`ConnectionManager`: the open sockets of this worker, by room, and the way to everybody else's."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from starlette.exceptions import WebSocketException
from starlette.websockets import WebSocket

from chat import broker, metrics, names, protocol
from chat.broker import Broker
from chat.codec import LEFT, Codec, Raw
from chat.connection import Connection
from chat.events import Receipt, Signal
from chat.exceptions import BrokerUnavailable, InvalidName
from chat.protocol import CloseCode, User
from chat.room import Greet, Room
from chat.settings import Settings
from chat.transport import EXTENSION, AsgiTransport, Transport

logger = logging.getLogger("chat.manager")


class ConnectionManager:
    """Tracks the open sockets per room and fans out between them, over all workers that share a broker.

        manager = ConnectionManager("redis://localhost:6379/0")
        app = FastAPI(lifespan=manager.lifespan)

        @app.websocket("/rooms/{room}")
        async def endpoint(websocket: WebSocket, room: str):
            async with manager.connect(websocket, room) as connection:
                async for text in connection:
                    await connection.publish(text)

    A room exists on this worker while it has a member here, with one subscription at the broker. The manager works
    in one event loop at a time: from the lifespan's start to its end or, without a lifespan, from the first `connect`
    until the loop is gone.
    """

    def __init__(self, broker_url: str | None = None, *, settings: Settings | None = None) -> None:
        """Take a broker's URL, or whole settings; without either, the environment decides. Does not connect yet."""
        if settings is None:
            settings = Settings.load() if broker_url is None else Settings.load(broker_url=broker_url)
        elif broker_url is not None:
            raise TypeError("ConnectionManager takes a broker URL or settings, not both")
        self.settings = settings
        self.worker = secrets.token_hex(4)  # names this process in every connection's id
        self.rooms: dict[str, Room] = {}
        self._broker: Broker = broker.from_settings(settings)
        self._numbers = itertools.count(1)
        self._following: dict[str, asyncio.Task[None]] = {}  # by room, also of one that is being closed
        self._tasks: set[asyncio.Task[None]] = set()  # all that runs in the background
        self._loop: asyncio.AbstractEventLoop | None = None  # where it runs
        self._starting: asyncio.Task[None] | None = None

    # --- lifetime ---

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Run for as long as the block lasts: `FastAPI(lifespan=manager.lifespan)`."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        await self._ensure_started()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        await self._broker.disconnect()
        self._loop = None

    @property
    def ready(self) -> bool:
        """Whether this worker can take part: it is started, and it reaches and hears the broker."""
        return self._loop is not None and self._broker.available

    async def _ensure_started(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    "this ConnectionManager runs in another event loop; in tests, use `with TestClient(app) as client:`"
                )
            self._loop = loop
            self.rooms.clear()
            self._following.clear()
            self._tasks.clear()
            self._starting = loop.create_task(self._broker.connect())
        assert self._starting is not None
        await asyncio.shield(self._starting)

    # --- members ---

    @asynccontextmanager
    async def connect(
        self,
        websocket: WebSocket,
        room: str,
        *,
        user: User | None = None,
        codec: Codec | None = None,
        newest: int = 0,
        greet: Greet | None = None,
    ) -> AsyncIterator[Connection]:
        """Accept a socket and make it a member of a room for as long as the block lasts.

        `user` is shown to others; without one the socket is a guest of its own. `codec` says how what happens is
        written to it: as it was said, unless told otherwise. `newest` is how many messages are replayed first,
        `greet` makes what is sent before everything else.
        Raises, before it accepts, `WebSocketException` with 4400 for a name that is not allowed and 4503 when the
        broker is away.
        """
        await self._ensure_started()
        codec = codec or Raw()
        try:
            entered = await self._enter(names.room_name(room))
        except InvalidName as error:
            raise WebSocketException(CloseCode.MALFORMED, str(error)) from None
        except BrokerUnavailable as error:
            raise WebSocketException(CloseCode.UNAVAILABLE, f"{error}; try again in a moment") from None
        try:
            await websocket.accept(subprotocol=codec.subprotocol)
            connection = self._connection(websocket, entered, user, codec)
        except BaseException:
            entered.expected -= 1
            self._close_if_empty(entered)
            raise
        try:
            entered.join(connection, newest=newest, greet=greet)
            entered.expected -= 1
            with metrics.connections.track_inprogress():
                yield connection
        finally:
            # Nothing here waits: a member leaves at once, whoever cancels whom.
            entered.leave(connection)
            self._close_if_empty(entered)
            connection.close()
            self._spawn(self._say_left(entered.name, connection))

    async def publish(
        self,
        room: str,
        text: str | None = None,
        *,
        data: Any = None,
        binary: bytes | None = None,
        user: User,
        id: str | None = None,
    ) -> Receipt:
        """Say something to a room from anywhere, whether or not it has members here.

        Exactly one of `text`, `data` (JSON) and `binary`. Raises `InvalidName`, and `BrokerUnavailable` at once
        when the broker is away.
        """
        await self._ensure_started()
        body = protocol.body(user, text, data=data, binary=binary, id=id)
        key = None if id is None else f"{user.id}:{id}"
        receipt = await self._broker.publish(names.room_name(room), protocol.encode(body), key=key)
        metrics.published.inc()
        return receipt

    def _connection(self, websocket: WebSocket, room: Room, user: User | None, codec: Codec) -> Connection:
        id = f"{self.worker}-{next(self._numbers)}"
        transport: Transport | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        if transport is None:
            transport = AsgiTransport(websocket.send)
            self._spawn(transport.run())
        connection = Connection(
            id,
            user or User(id=id, name=f"Guest {id[-4:]}"),
            codec=codec,
            transport=transport,
            receive=websocket.receive,
            publish=room.publish,
        )
        transport.attach(
            limit=self.settings.send_buffer_bytes,
            on_pause=lambda: room.pause(connection),
            on_resume=connection.resumed,
        )
        return connection

    async def _say_left(self, room: str, connection: Connection) -> None:
        with suppress(BrokerUnavailable):
            await self._broker.signal(room, Signal(LEFT, connection.id, protocol.encode(connection.user)))

    # --- rooms ---

    async def _enter(self, name: str) -> Room:
        """Return the room, open, with a place kept in it (`expected`)."""
        if not self._broker.available:
            raise BrokerUnavailable("the broker is away at the moment")
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name, self._broker, spawn=self._spawn)
            self._following[name] = self._spawn(self._follow(room, self._following.get(name)))
        room.expected += 1
        try:
            await asyncio.shield(room.opened)
        except BaseException:
            room.expected -= 1
            self._close_if_empty(room)
            raise
        return room

    async def _follow(self, room: Room, previous: asyncio.Task[None] | None) -> None:
        """Hold the room's one subscription, from its first member to its last."""
        if previous is not None:
            await asyncio.wait({previous})  # broadcaster must not see a room's first and last subscriber cross
        try:
            async with self._broker.subscribe(room.name) as next_event:
                await room.open()
                room.opened.set_result(None)
                with metrics.rooms.track_inprogress():
                    await room.follow(next_event)
        except BrokerUnavailable as error:
            room.opened.set_exception(error)
            room.opened.exception()  # taken notice of, even if nobody waits any more
        finally:
            room.opened.cancel()
            if self.rooms.get(room.name) is room:
                del self.rooms[room.name]
            if self._following.get(room.name) is asyncio.current_task():
                del self._following[room.name]
            for connection in list(room.members.values()):
                connection.close(CloseCode.RESTART, "the room was closed on this worker")

    def _close_if_empty(self, room: Room) -> None:
        if not room.members and not room.expected and self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            self._following[room.name].cancel()

    # --- tasks ---

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in the background until done, or until the manager ends; a failure is logged."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a background task of the connection manager failed", exc_info=error)
