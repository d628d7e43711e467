"""`ConnectionManager`: the open sockets of this worker, by room, and the way to everybody else's."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypedDict, Unpack

from starlette.exceptions import WebSocketException
from starlette.websockets import WebSocket

from chat import broker, metrics, names, protocol
from chat.admission import Admission
from chat.broker import Broker
from chat.codec import Codec, Item, Raw
from chat.connection import Connection, Receive
from chat.events import Event, Page, Position, Publication, Receipt, Signal
from chat.exceptions import BrokerUnavailable, DecisionUnavailable, Forbidden, InvalidName, TooManyConnections
from chat.feed import Feed
from chat.intake import Handler, Intake
from chat.presence import Presence
from chat.protocol import CloseCode, User
from chat.rights import Action
from chat.room import Greet, Room, Start
from chat.roster import Roster
from chat.settings import Settings
from chat.transport import EXTENSION, WEBSOCKET, AsgiTransport, Form, Send, Transport

logger = logging.getLogger("chat.manager")

Accept = Callable[[], Awaitable[tuple[Transport, Receive]]]
Authorize = Callable[[User, str, Action], Awaitable[bool]]

CLOSE_TIMEOUT = 5.0  # seconds that a server may take to begin the closing handshake
DRAINED_PER_SECOND = 200  # members that are let go when the server stops, if the drain timeout allows


class Entry(TypedDict):
    """Who becomes a member, and where it begins."""

    user: User | None
    address: str | None
    codec: Codec
    since: Position | None
    newest: int
    greet: Greet | None


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

    def __init__(
        self, broker_url: str | None = None, *, settings: Settings | None = None, authorize: Authorize | None = None
    ) -> None:
        """Take a broker's URL, or whole settings; without either, the environment decides. Does not connect yet.

        `authorize(user, room, action)` is asked before somebody joins a room, by the action `subscribe`, and before a
        member says something, by `publish`.
        """
        if settings is None:
            settings = Settings.load() if broker_url is None else Settings.load(broker_url=broker_url)
        elif broker_url is not None:
            raise TypeError("ConnectionManager takes a broker URL or settings, not both")
        self.settings = settings
        self._authorize = authorize
        self.worker = secrets.token_hex(4)  # names this process in every connection's id
        self.rooms: dict[str, Room] = {}
        self._broker: Broker = broker.from_settings(settings)
        self._numbers = itertools.count(1)
        self._following: dict[str, asyncio.Task[None]] = {}  # by room, also of one that is being closed
        self._tasks: set[asyncio.Task[None]] = set()  # all that runs in the background
        self._loop: asyncio.AbstractEventLoop | None = None  # where it runs
        self._starting: asyncio.Task[None] | None = None
        self._seats = 0  # connections, also those that are still being made
        self._drain_window: float | None = None  # seconds in which all members are let go; set once the server stops
        self._count_anew()

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
        metrics.settle()
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
            self._count_anew()
            self._starting = loop.create_task(self._begin())
        assert self._starting is not None
        if not self._starting.done():
            await asyncio.wait({self._starting})
        self._starting.result()

    async def _begin(self) -> None:
        await self._broker.connect()
        self._spawn(self._presence.watch(lambda: list(self.rooms.values())))

    def _count_anew(self) -> None:
        """Begin with nobody here."""
        self._admission = Admission(self.worker, self._broker, self.settings, spawn=self._spawn)
        self._presence = Presence(
            self.worker,
            self._broker,
            grace=self.settings.presence_grace,
            spawn=self._spawn,
            on_beat=self._admission.heed,
        )

    # --- members ---

    @asynccontextmanager
    async def connect(
        self,
        websocket: WebSocket,
        room: str,
        *,
        user: User | None = None,
        codec: Codec | None = None,
        since: Position | None = None,
        newest: int = 0,
        greet: Greet | None = None,
    ) -> AsyncIterator[Connection]:
        """Accept a socket and make it a member of a room for as long as the block lasts.

        `user` is shown to others; without one the socket is a guest of its own. `codec` says how what happens is
        written to it: as it was said, unless told otherwise. What came after `since` is replayed first, or else the
        `newest` messages; `greet` makes what is sent before everything else.
        Raises, before it accepts, `WebSocketException` with 4400 for a name that is not allowed, 4403 if `authorize`
        says no, 4408 if the person or the address has too many connections, and 4503 when the broker is away, or this
        worker is full or about to stop.
        """
        codec = codec or Raw()
        joined = self.join(
            room,
            self._accepting(websocket, codec),
            user=user,
            address=_address(websocket),
            codec=codec,
            since=since,
            newest=newest,
            greet=greet,
        )
        async with joined as connection:
            yield connection

    async def host(
        self,
        websocket: WebSocket,
        room: str,
        attend: Callable[[Connection], Handler],
        *,
        user: User | None = None,
        codec: Codec | None = None,
        since: Position | None = None,
        newest: int = 0,
        greet: Greet | None = None,
        stay: bool = True,
    ) -> Connection:
        """Accept a socket and make it a member, as by `connect`, for whoever takes what it sends by calls.

        `attend(connection)` returns its `Handler`. Returns when the member has left. If it need not `stay`, it may
        return as soon as the member is in, and does so under a server that can hold a socket without a task for it, as
        `chat serve` can: a fifth of the memory, and nobody to wake for each message. The endpoint should end then.
        """
        codec = codec or Raw()
        entered, connection = await self._enter(
            room,
            self._accepting(websocket, codec),
            user=user,
            address=_address(websocket),
            codec=codec,
            since=since,
            newest=newest,
            greet=greet,
        )
        try:
            handler = attend(connection)
        except BaseException:
            self._leave(entered, connection)
            raise

        def leave() -> None:
            try:
                handler.left()
            finally:
                self._leave(entered, connection)

        intake = Intake(handler, connection, spawn=self._spawn)
        if stay or not connection.hand_over(intake.take, leave):
            async with self._staying(entered, connection):
                try:
                    await _pull(connection, handler)
                finally:
                    handler.left()
        return connection

    def _accepting(self, websocket: WebSocket, codec: Codec) -> Accept:
        async def accept() -> tuple[Transport, Receive]:
            transport: Transport | None = websocket.scope.get("extensions", {}).get(EXTENSION)
            if transport is not None:
                transport.hold()  # what the new member is greeted with follows at once
            await websocket.accept(subprotocol=codec.subprotocol)
            return transport or self.transport(websocket.send), websocket.receive

        return accept

    @asynccontextmanager
    async def join(
        self,
        room: str,
        accept: Accept,
        **entry: Unpack[Entry],
    ) -> AsyncIterator[Connection]:
        """Make a member of whatever `accept` opens, once the room is open: `connect`, for what is no WebSocket."""
        entered, connection = await self._enter(room, accept, **entry)
        async with self._staying(entered, connection):
            yield connection

    async def _enter(
        self,
        room: str,
        accept: Accept,
        *,
        user: User | None,
        address: str | None,
        codec: Codec,
        since: Position | None,
        newest: int,
        greet: Greet | None,
    ) -> tuple[Room, Connection]:
        """Make a member; `_leave` is owed for it. Raises as `connect` does."""
        await self._ensure_started()
        id = f"{self.worker}-{next(self._numbers)}"
        person = None if user is None else user.id  # without a user everybody is somebody else
        user = user or User(id=id, name=f"Guest {id[-4:]}")
        undo: list[Callable[[], None]] = []  # an `ExitStack` would take a twentieth of what a connection costs
        try:
            self._take_seat()
            undo.append(self._leave_seat)
            await self._claim_seat(id, person, address)
            undo.append(partial(self._admission.leave, id))
            entered = self._hold(room)
            undo.append(partial(self._let_go, entered))
            await self._opened(entered)
            await self._admit(user, entered)
            start = await self._start_in(entered, since, newest)
            connection = self._connection(id, await accept(), entered, user, codec)
        except BaseException:
            for step in reversed(undo):
                step()
            raise
        self._presence.enter(entered.name, connection.user)
        metrics.connections.inc()
        try:
            entered.join(connection, start, greet=greet)
        except BaseException:
            connection.close(CloseCode.INTERNAL_ERROR, "something went wrong here")
            self._leave(entered, connection)
            raise
        return entered, connection

    def _leave(self, entered: Room, connection: Connection) -> None:
        """Make a member one no more; never waits: a member leaves at once, whoever cancels whom."""
        entered.leave(connection)
        metrics.connections.dec()
        self._presence.leave(entered.name, connection.user)
        connection.close()
        self._let_go(entered)
        self._admission.leave(connection.id)
        self._leave_seat()

    @asynccontextmanager
    async def _staying(self, entered: Room, connection: Connection) -> AsyncIterator[None]:
        """Keep a member for as long as the block lasts, and see its socket closed."""
        connection.stays()
        try:
            yield
        except asyncio.CancelledError:
            if not connection.given_up:
                raise
            _uncancel()
        except Exception:
            connection.close(CloseCode.INTERNAL_ERROR, "something went wrong here")
            await _closed(connection)
            raise
        finally:
            self._leave(entered, connection)
        if connection.close_code is None and not connection.given_up:
            await _closed(connection)

    async def publish(
        self,
        room: str,
        text: str | None = None,
        *,
        data: Any = None,
        binary: bytes | None = None,
        user: User,
        id: str | None = None,
        remember: bool = True,
    ) -> Receipt:
        """Say something to a room from anywhere, whether or not it has members here.

        Exactly one of `text`, `data` (JSON) and `binary`. The same `id` again, by the same user, makes no second
        message, unless it was not to be remembered. Raises `InvalidName`, and `BrokerUnavailable` at once
        when the broker is away.
        """
        await self._ensure_started()
        body = protocol.body(user, text, data=data, binary=binary, id=id)
        key = f"{user.id}:{id}" if id is not None and remember else None
        name = names.room_name(room)
        here = self.rooms.get(name)
        seen = here.feed.position if here is not None else None
        return await self._broker.publish(name, protocol.encode(body), key=key, seen=seen)

    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = protocol.DEFAULT_PAGE
    ) -> Page:
        """Return a page of a room's log: the oldest after `after`, else the newest before `before`, else the newest.

        Raises `InvalidName`, and `BrokerUnavailable` when the broker is away.
        """
        await self._ensure_started()
        return await self._broker.history(names.room_name(room), after=after, before=before, limit=limit)

    async def members(self, room: str) -> tuple[list[User], int]:
        """Return the people in a room, over all workers, and how many they are; above 200, only the number.

        Raises `InvalidName`, and `BrokerUnavailable` when the broker is away.
        """
        await self._ensure_started()
        name = names.room_name(room)
        if (here := self.rooms.get(name)) is not None and here.opened.done():
            return here.who_is_here()
        roster = Roster()
        roster.become(await self._broker.roster(name), own="")
        return roster.listed(), roster.count

    # --- logs of the app's own ---

    def listen(self, log: str, take: Callable[[Publication], None], *, caught_up: Callable[[], None]) -> None:
        """Give `take` all that stands in a log, and what is added to it on any worker, until the manager ends.

        `caught_up` is called once, when all that stood there was given. The name of a log is that of no room, and
        begins with `!`; how long it is kept says `Settings.kept`.
        """
        self._spawn(self._listen(log, take, caught_up))

    async def _listen(self, log: str, take: Callable[[Publication], None], caught_up: Callable[[], None]) -> None:
        def deliver(item: Item) -> None:
            if isinstance(item, Publication):
                take(item)

        async def refresh() -> None:
            pass  # all that matters is in the log

        feed = Feed(
            log,
            self._broker,
            deliver=deliver,
            refresh=refresh,
            spawn=self._spawn,
            history_size=self.settings.history_size,
        )

        def hear(event: Event) -> None:
            if not isinstance(event, Signal):
                feed.take(event)

        async with self._broker.subscribe(log, hear):
            try:
                await self._until_caught_up(feed)
                caught_up()
                await asyncio.get_running_loop().create_future()  # until the manager ends
            finally:
                feed.close()

    async def _until_caught_up(self, feed: Feed) -> None:
        while True:
            with suppress(BrokerUnavailable):  # it goes on trying in the background
                return await feed.catch_up()

    async def note(self, log: str, data: Any, *, user: User) -> None:
        """Add something to a log of the app's own, on behalf of somebody; raises `BrokerUnavailable`."""
        await self._ensure_started()
        await self._broker.publish(log, protocol.encode(protocol.body(user, data=data)))

    async def demand(self, user: User, room: str, action: Action) -> None:
        """Raise `Forbidden` if `authorize` says no, and whatever it raises itself."""
        if self._authorize is not None and not await self._authorize(user, room, action):
            raise Forbidden(f"you may not {action} in {room}")

    async def _admit(self, user: User, room: Room) -> None:
        try:
            await self.demand(user, room.name, Action.SUBSCRIBE)
        except Forbidden as error:
            raise WebSocketException(CloseCode.FORBIDDEN, str(error)) from None
        except DecisionUnavailable as error:
            raise _unavailable(error) from None

    def _connection(self, id: str, way: tuple[Transport, Receive], room: Room, user: User, codec: Codec) -> Connection:
        transport, receive = way
        connection = Connection(
            id,
            user,
            home=room,
            codec=codec,
            transport=transport,
            receive=receive,
            stopping=self._drain,
            demand=None if self._authorize is None else self.demand,
        )
        transport.attach(connection, limit=self.settings.send_buffer_bytes)
        return connection

    def transport(self, send: Send, form: Form = WEBSOCKET) -> Transport:
        """Return a transport that sends by an ASGI server's `send`, from a task of the manager's."""
        transport = AsgiTransport(send, form)
        self._spawn(transport.run())
        return transport

    async def _start_in(self, room: Room, since: Position | None, newest: int) -> Start:
        try:
            return await room.start(since, newest=newest)
        except BrokerUnavailable as error:
            raise _unavailable(error) from None

    def _drain(self, connection: Connection) -> None:
        """Let a member go at a moment of its own, so that not all come back at once."""
        if self._drain_window is None:
            open_now = sum(len(room.members) for room in self.rooms.values())
            self._drain_window = min(self.settings.drain_timeout * 0.8, open_now / DRAINED_PER_SECOND)
        connection.drain(random.uniform(0, self._drain_window))

    async def _claim_seat(self, id: str, user: str | None, address: str | None) -> None:
        try:
            await self._admission.enter(id, user=user, address=address)
        except TooManyConnections as error:
            raise WebSocketException(CloseCode.TOO_MANY_CONNECTIONS, str(error)) from None
        except BrokerUnavailable as error:
            raise _unavailable(error) from None

    def _take_seat(self) -> None:
        """Count a connection; raises `WebSocketException` if there are too many."""
        if 0 < self.settings.max_connections <= self._seats:
            raise _unavailable("this worker is full")
        self._seats += 1

    def _leave_seat(self) -> None:
        self._seats -= 1

    # --- rooms ---

    def _hold(self, name: str) -> Room:
        """Keep a room, which may still be opening, until it is let go; raises `WebSocketException`."""
        if self._drain_window is not None:
            raise _unavailable("this worker is about to stop")
        if not self._broker.available:
            raise _unavailable("the broker is away at the moment")
        try:
            room = self._room(names.room_name(name))
        except InvalidName as error:
            raise WebSocketException(CloseCode.MALFORMED, str(error)) from None
        room.held += 1
        return room

    def _let_go(self, room: Room) -> None:
        room.held -= 1
        if not room.held and self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            self._following[room.name].cancel()

    async def _opened(self, room: Room) -> None:
        """Wait until a room is open; raises `WebSocketException`."""
        if not room.opened.done():
            await asyncio.wait({room.opened})
        try:
            room.opened.result()
        except BrokerUnavailable as error:
            raise _unavailable(error) from None

    def _room(self, name: str) -> Room:
        """Return the room, which may still be opening."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(
                name,
                self._broker,
                worker=self.worker,
                settings=self.settings,
                own=lambda: self._presence.here(name),
                spawn=self._spawn,
            )
            self._following[name] = self._spawn(self._follow(room, self._following.get(name)))
        return room

    async def _follow(self, room: Room, previous: asyncio.Task[None] | None) -> None:
        """Hold the room's one subscription, from its first member to its last."""
        if previous is not None:
            await asyncio.wait({previous})  # broadcaster must not see a room's first and last subscriber cross
        try:
            async with self._broker.subscribe(room.name, room.take):
                await room.open()
                with metrics.rooms.track_inprogress():
                    await asyncio.get_running_loop().create_future()  # until the last member has left
        except BrokerUnavailable as error:
            room.opened.set_exception(error)
            room.opened.exception()  # taken notice of, even if nobody waits any more
        finally:
            room.close()
            room.opened.cancel()
            if self.rooms.get(room.name) is room:
                del self.rooms[room.name]
            if self._following.get(room.name) is asyncio.current_task():
                del self._following[room.name]
            for connection in list(room.members.values()):
                connection.close(CloseCode.RESTART, "the room was closed on this worker")

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


def _address(websocket: WebSocket) -> str | None:
    return None if websocket.client is None else websocket.client.host


def _unavailable(why: object) -> WebSocketException:
    return WebSocketException(CloseCode.UNAVAILABLE, f"{why}; try again in a moment")


async def _closed(connection: Connection) -> None:
    """Wait until the closing handshake was begun: some servers drop the socket when the endpoint ends."""
    with suppress(TimeoutError):
        await asyncio.wait_for(connection.transport.closed(), CLOSE_TIMEOUT)


async def _pull(connection: Connection, handler: Handler) -> None:
    async for message in connection:
        if (rest := handler.take(message)) is not None:
            await rest
        await connection.writable()


def _uncancel() -> None:
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
