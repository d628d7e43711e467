"""`ConnectionManager` in somebody else's FastAPI app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chat import BrokerUnavailable, Connection, ConnectionManager, InvalidName, Settings, User
from chat.codec import ChatV1, Raw
from chat.connection import Receive
from chat.manager import Entry
from chat.server import ChatProtocol
from chat.transport import Transport
from tests.apps import Served, serving
from tests.servers import PATIENCE, RedisServer, until

ADA = User("ada", "Ada")


@pytest.fixture(params=["memory", "redis"])
def settings(request: pytest.FixtureRequest, shared_redis: RedisServer, prefix: str) -> Settings:
    """Settings for either broker, in which nobody waits for people who left."""
    url = "memory://" if request.param == "memory" else shared_redis.url
    return Settings.load(broker_url=url, broker_prefix=prefix, presence_grace=0)


@pytest.fixture
def manager(settings: Settings) -> ConnectionManager:
    return ConnectionManager(settings=settings)


def app_of(manager: ConnectionManager, **options: Any) -> FastAPI:
    """The app of the class's docstring, with a route that publishes beside it."""
    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/rooms/{room}")
    async def endpoint(websocket: WebSocket, room: str) -> None:
        async with manager.connect(websocket, room, **options) as connection:
            async for message in connection:
                assert isinstance(message, str)
                await connection.publish(message)

    @app.post("/rooms/{room}")
    async def say(room: str, text: str) -> dict[str, Any]:
        return (await manager.publish(room, text, user=ADA))._asdict()

    return app


@pytest.fixture(params=["auto", ChatProtocol], ids=["uvicorn", "frames"])
async def served(request: pytest.FixtureRequest, manager: ConnectionManager) -> AsyncIterator[Served]:
    """The app, on a server as it comes and on one with our protocol class."""
    async with serving(app_of(manager), ws=request.param) as served:
        yield served


async def received(socket: ClientConnection, count: int = 1) -> list[str | bytes]:
    async with asyncio.timeout(PATIENCE):
        return [await socket.recv() for _ in range(count)]


# --- as in the README ---


async def test_what_one_says_all_get_as_it_was_said(served: Served) -> None:
    """The sender included, without a protocol around it."""
    async with served.ws("/rooms/news") as one, served.ws("/rooms/news") as other:
        await one.send("hello")
        await other.send("hi")
        assert sorted(map(str, await received(one, 2))) == ["hello", "hi"]
        assert sorted(map(str, await received(other, 2))) == ["hello", "hi"]


async def test_rooms_are_apart(served: Served) -> None:
    """Who is in another room hears nothing."""
    async with served.ws("/rooms/a") as one, served.ws("/rooms/b") as other:
        await one.send("in a")
        await other.send("in b")
        assert await received(other) == ["in b"]


class Loud:
    """Says everything twice as loud, and waits for the broker in between."""

    gone: ClassVar[list[str]] = []

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def take(self, message: str | bytes) -> Awaitable[None] | None:
        text = str(message)
        if text == "quietly":
            self.connection.send("heard by nobody else")
            return None
        return self.say(text.upper())

    async def say(self, text: str) -> None:
        await self.connection.publish(text)

    def left(self) -> None:
        self.gone.append(self.connection.user.name)


@pytest.mark.parametrize("ws", ["auto", ChatProtocol], ids=["uvicorn", "frames"])
@pytest.mark.parametrize("stay", [True, False], ids=["stays", "hands over"])
async def test_a_handler_is_called_with_what_the_client_sends(manager: ConnectionManager, ws: Any, stay: bool) -> None:
    """In order, one after the other, also what came before the member was in; and once at the end."""
    app = FastAPI(lifespan=manager.lifespan)
    returned = asyncio.Event()

    @app.websocket("/rooms/{room}")
    async def endpoint(websocket: WebSocket, room: str) -> None:
        await manager.host(websocket, room, Loud, user=ADA, stay=stay)
        returned.set()

    Loud.gone.clear()
    async with serving(app, ws=ws) as served, served.ws("/rooms/news") as one:
        for number in range(100):
            await one.send(f"hello {number}")
        assert await received(one, 100) == [f"HELLO {number}" for number in range(100)]
        await one.send("quietly")
        assert await received(one) == ["heard by nobody else"]
        assert returned.is_set() == (ws is ChatProtocol and not stay)
        assert Loud.gone == []
        await one.close()
        await until(lambda: Loud.gone == ["Ada"] and not manager.rooms, "the member has left")
        await until(returned.is_set, "the endpoint has ended")


@pytest.mark.parametrize("ws", ["auto", ChatProtocol], ids=["uvicorn", "frames"])
async def test_a_handler_that_fails_ends_its_connection_only(
    manager: ConnectionManager, ws: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """By 1011; what went wrong is logged."""

    class Broken(Loud):
        def take(self, message: str | bytes) -> None:
            raise RuntimeError("a mistake")

    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/rooms/{room}/{who}")
    async def endpoint(websocket: WebSocket, room: str, who: str) -> None:
        await manager.host(websocket, room, Broken if who == "broken" else Loud, user=ADA, stay=False)

    async with serving(app, ws=ws) as served, served.ws("/rooms/news/fine") as fine:
        async with served.ws("/rooms/news/broken") as broken:
            await broken.send("x")
            with pytest.raises(ConnectionClosed) as closed:
                await received(broken)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        await fine.send("still here")
        assert await received(fine) == ["STILL HERE"]
    assert "a mistake" in caplog.text


async def test_an_http_route_can_publish(served: Served) -> None:
    """To a room with members here or without."""
    async with served.ws("/rooms/news") as member, httpx.AsyncClient(trust_env=False) as http:
        await http.post(served.url("/rooms/elsewhere"), params={"text": "nobody hears"})
        answer = await http.post(served.url("/rooms/news"), params={"text": "hello"})
        assert await received(member) == ["hello"]
    assert answer.json()["offset"] == 1
    assert not answer.json()["duplicate"]


async def test_a_name_that_is_not_allowed_is_refused(served: Served) -> None:
    """Before accept, by the exception that Starlette makes a refusal of."""
    with pytest.raises(InvalidStatus) as refusal:
        async with served.ws("/rooms/a%20b"):
            pass
    assert refusal.value.response.status_code == 403


async def test_a_lifespan_of_the_apps_own_can_hold_the_manager(manager: ConnectionManager) -> None:
    """`async with manager:` in it is enough."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with manager:
            assert manager.ready
            yield

    app = app_of(manager)
    app.router.lifespan_context = lifespan
    async with serving(app) as served, served.ws("/rooms/news") as socket:
        await socket.send("hello")
        assert await received(socket) == ["hello"]
    assert not manager.ready


# --- options ---


async def test_a_user_is_shown_to_others(manager: ConnectionManager) -> None:
    """By a codec that shows people."""
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(app_of(manager, user=ADA, codec=ChatV1())))
        socket = await stack.enter_async_context(served.ws("/rooms/news", subprotocols=["chat.v1"]))
        await socket.send("hello")
        while '"type":"message"' not in (message := str((await received(socket))[0])):
            pass
    assert '"user":{"id":"ada","name":"Ada"}' in message


async def test_without_a_user_everybody_is_a_guest_of_its_own(manager: ConnectionManager) -> None:
    """Nobody can be taken for somebody else."""
    users: list[User] = []
    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        async with manager.connect(websocket, "news") as connection:
            users.append(connection.user)

    async with serving(app) as served:
        for _ in range(2):
            async with served.ws("/") as socket:
                await socket.wait_closed()
    assert users[0].id != users[1].id
    assert all(user.name.startswith("Guest ") for user in users)


async def test_the_newest_messages_can_be_replayed(manager: ConnectionManager) -> None:
    """As many as wanted, then what comes live."""
    async with serving(app_of(manager, newest=2)) as served:
        for text in ("a", "b", "c"):
            await manager.publish("news", text, user=ADA)
        async with served.ws("/rooms/news") as late:
            assert await received(late, 2) == ["b", "c"]
            await manager.publish("news", "d", user=ADA)
            assert await received(late) == ["d"]


async def test_text_data_and_bytes_can_be_published(served: Served, manager: ConnectionManager) -> None:
    """Exactly one of them."""
    async with served.ws("/rooms/news") as member:
        await manager.publish("news", "text", user=ADA)
        await manager.publish("news", data={"a": [1]}, user=ADA)
        await manager.publish("news", binary=b"\x00\xff", user=ADA)
        assert await received(member, 3) == ["text", '{"a":[1]}', b"\x00\xff"]
    with pytest.raises(ValueError, match="exactly one"):
        await manager.publish("news", "text", binary=b"", user=ADA)


async def test_publishing_the_same_id_again_makes_no_second_message(manager: ConnectionManager) -> None:
    """For the same user; another one's ids are its own."""
    async with manager:
        first = await manager.publish("news", "a", user=ADA, id="1")
        again = await manager.publish("news", "a", user=ADA, id="1")
        others = await manager.publish("news", "b", user=User("grace", "Grace"), id="1")
    assert (first.duplicate, again.duplicate, others.duplicate) == (False, True, False)
    assert again.offset == first.offset


async def test_publishing_to_a_name_that_is_not_allowed_raises(manager: ConnectionManager) -> None:
    """`InvalidName`, which says what is allowed."""
    async with manager:
        with pytest.raises(InvalidName, match="cannot stand in a room name"):
            await manager.publish("a b", "hello", user=ADA)


def test_a_url_or_settings_but_not_both() -> None:
    """Two answers to one question are refused."""
    with pytest.raises(TypeError, match="not both"):
        ConnectionManager("memory://", settings=Settings())


# --- several managers ---


@asynccontextmanager
async def two_sockets(*managers: ConnectionManager) -> AsyncIterator[list[ClientConnection]]:
    """A member of the same room at each of two managers."""
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(serving(app_of(manager))) for manager in managers]
        yield [await stack.enter_async_context(app.ws("/rooms/news")) for app in apps]


async def test_managers_on_one_redis_share_their_rooms(shared_redis: RedisServer, prefix: str) -> None:
    """As workers do."""
    settings = Settings.load(broker_url=shared_redis.url, broker_prefix=prefix)
    async with two_sockets(ConnectionManager(settings=settings), ConnectionManager(settings=settings)) as (here, there):
        await here.send("hello")
        assert await received(there) == await received(here) == ["hello"]


async def test_managers_in_memory_do_not_mix() -> None:
    """Each has rooms of its own."""
    async with two_sockets(ConnectionManager("memory://"), ConnectionManager("memory://")) as (here, there):
        await here.send("here")
        await there.send("there")
        assert (await received(here), await received(there)) == (["here"], ["there"])


async def test_a_manager_works_in_one_event_loop(manager: ConnectionManager) -> None:
    """From another one it says so, instead of hanging."""
    errors: list[BaseException] = []

    async def use() -> None:
        await manager.publish("news", "hello", user=ADA)

    def in_another_loop() -> None:
        try:
            asyncio.run(use())
        except RuntimeError as error:
            errors.append(error)

    async with manager:
        thread = threading.Thread(target=in_another_loop)
        thread.start()
        await asyncio.to_thread(thread.join)
    assert "another event loop" in str(errors[0])


async def test_a_manager_can_be_started_again(manager: ConnectionManager) -> None:
    """After its end, as by the next test of somebody's suite."""
    for _ in range(2):
        async with manager:
            await manager.publish("news", "hello", user=ADA)


# --- endings ---


class Door:
    """An app with one endpoint, which does with its connection what the test says."""

    def __init__(self, manager: ConnectionManager) -> None:
        self.manager = manager
        self.connections: list[Connection] = []
        self.ended: list[BaseException | None] = []
        self.app = FastAPI(lifespan=manager.lifespan)
        self.app.websocket("/")(self.endpoint)

    async def endpoint(self, websocket: WebSocket) -> None:
        try:
            async with self.manager.connect(websocket, "news") as connection:
                self.connections.append(connection)
                await self.stay(connection)
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    async def stay(self, connection: Connection) -> None:
        async for _ in connection:
            pass


async def test_who_has_left_can_still_be_written_to(manager: ConnectionManager) -> None:
    """Publishing, sending and closing for a member that is gone raise nothing; the others hear what it said last."""

    class LastWords(Door):
        async def stay(self, connection: Connection) -> None:
            await super().stay(connection)
            await connection.publish("last words")
            connection.send()
            connection.close(1000, "twice")

    door = LastWords(manager)
    async with serving(door.app) as served, served.ws("/") as listener:
        async with served.ws("/"):
            pass
        assert await received(listener) == ["last words"]
        await until(lambda: door.ended == [None], "the endpoint has ended")


async def test_an_endpoint_that_is_cancelled_leaves(manager: ConnectionManager) -> None:
    """The cancellation goes on, the room is left, the client is told."""

    class Impatient(Door):
        async def stay(self, connection: Connection) -> None:
            async with asyncio.timeout(0.05):
                await super().stay(connection)

    door = Impatient(manager)
    async with serving(door.app) as served, served.ws("/") as socket:
        with pytest.raises(ConnectionClosed):
            await received(socket)
        await until(lambda: not manager.rooms, "the room is left")
    assert isinstance(door.ended[0], TimeoutError)


async def test_an_endpoint_that_fails_leaves(manager: ConnectionManager, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is the server's to tell; the room goes on without it."""

    class Failing(Door):
        async def stay(self, connection: Connection) -> None:
            if len(self.connections) == 2:
                raise ZeroDivisionError
            await super().stay(connection)

    door = Failing(manager)
    async with serving(door.app) as served, served.ws("/") as staying:
        async with served.ws("/") as socket:
            with pytest.raises(ConnectionClosed):
                await received(socket)
        await manager.publish("news", "on we go", user=ADA)
        assert await received(staying) == ["on we go"]
    assert isinstance(door.ended[0], ZeroDivisionError)


async def test_a_client_that_cannot_be_accepted_leaves_nothing_behind(manager: ConnectionManager) -> None:
    """Gone before the handshake was answered."""

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send_to_nobody(message: Any) -> None:
        raise OSError("connection reset")

    scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": [], "query_string": b""}
    async with manager:
        websocket = WebSocket(scope, receive=receive, send=send_to_nobody)
        with pytest.raises(Exception, match=r".*"):
            async with manager.connect(websocket, "news"):
                pytest.fail("it was accepted")
        await until(lambda: not manager.rooms, "the room is left")


async def test_who_is_refused_leaves_nothing_behind(own_redis: RedisServer) -> None:
    """While the broker is away nobody gets in, and publishing fails at once."""
    manager = ConnectionManager(settings=Settings.load(broker_url=own_redis.url, broker_timeout=0.5))
    async with serving(app_of(manager)) as served:
        await own_redis.kill()
        await until(lambda: not manager.ready, "the loss is noticed")
        with pytest.raises(InvalidStatus):
            async with served.ws("/rooms/news"):
                pass
        with pytest.raises(BrokerUnavailable):
            await manager.publish("news", "hello", user=ADA)
        assert not manager.rooms


async def test_the_end_of_the_app_closes_its_sockets(manager: ConnectionManager) -> None:
    """By 1012, which says that coming back makes sense."""
    async with serving(app_of(manager)) as served:
        socket = await served.ws("/rooms/news")
    await socket.wait_closed()
    assert socket.close_code == 1012


# --- races and leaks ---


async def test_twenty_first_members_at_once_all_hear(served: Served) -> None:
    """Of twenty first subscribers at once, broadcaster alone would leave nineteen deaf."""
    for attempt in range(5):
        async with AsyncExitStack() as stack:
            room = f"/rooms/race-{attempt}"
            members = await asyncio.gather(*(stack.enter_async_context(served.ws(room)) for _ in range(20)))
            await members[0].send("hello")
            assert await asyncio.gather(*map(received, members)) == [["hello"]] * 20


async def test_a_room_survives_first_and_last_members_that_cross(served: Served, manager: ConnectionManager) -> None:
    """Two hundred joins and leaves at random; who is there in the end hears everything."""

    async def come_and_go(number: int) -> None:
        for turn in range(10):
            async with served.ws("/rooms/news") as socket:
                await asyncio.sleep((number * 7 + turn * 3) % 5 / 1000)
                if turn % 3 == 0:
                    socket.transport.abort()

    await asyncio.gather(*map(come_and_go, range(20)))
    async with served.ws("/rooms/news") as socket:
        for text in ("a", "b", "c"):
            await manager.publish("news", text, user=ADA)
        assert await received(socket, 3) == ["a", "b", "c"]


async def test_three_hundred_visits_leave_nothing_behind(
    served: Served, manager: ConnectionManager, shared_redis: RedisServer, prefix: str
) -> None:
    """Tasks, rooms and subscriptions are as many as before."""

    async def channels() -> list[str]:
        return (await shared_redis.cli("PUBSUB", "CHANNELS", f"{prefix}:{{*")).split()

    async def visit(number: int) -> None:
        async with served.ws(f"/rooms/room-{number % 10}") as socket:
            await socket.send("hello")
            await received(socket)

    await visit(0)
    await until(lambda: not manager.rooms, "the first room is left")
    await asyncio.sleep(0.2)  # presence is told
    before = len(asyncio.all_tasks())
    for start in range(0, 300, 30):
        await asyncio.gather(*(visit(number) for number in range(start, start + 30)))
    await until(lambda: not manager.rooms, "all rooms are left")
    await until(lambda: len(asyncio.all_tasks()) <= before, "all tasks have ended")

    async def unsubscribed() -> bool:
        return not await channels()

    await until(unsubscribed, "all subscriptions have ended")


async def test_who_joins_while_others_talk_gets_no_more_than_it_asked_for(manager: ConnectionManager) -> None:
    """The newest so many of the moment in which it is in, not of that in which it began to join."""
    received: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        if "text" in message:
            received.append(message["text"])

    async def never() -> None:
        await asyncio.Event().wait()

    async def accept() -> tuple[Transport, Receive]:
        for number in range(10, 13):
            await manager.publish("news", str(number), user=ADA)
        await until(lambda: manager.rooms["news"].feed.position.offset == 13, "the room has heard of it")
        return manager.transport(send), never

    async with manager:
        for number in range(10):
            await manager.publish("news", str(number), user=ADA)
        entry: Entry = {"user": ADA, "address": None, "codec": Raw(), "since": None, "newest": 5, "greet": None}
        async with manager.join("news", accept, **entry):
            await until(lambda: received[-1:] == ["12"], "it has the newest")
    assert received == ["8", "9", "10", "11", "12"]
