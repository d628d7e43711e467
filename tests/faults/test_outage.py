"""The broker may go away: sockets stay open, it is said, and when it is back everybody has everything within 2 s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from tests.checker import History, violations
from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.faults.proxies import SubscriberProxy
from tests.servers import ChatServer, RedisServer, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Room:
    """Ann on one worker and Bob on another, whose way to Redis is a proxy that the test breaks."""

    def __init__(
        self, redis: RedisServer, proxy: SubscriberProxy, ann: Client, bob: Client, worker: ChatServer
    ) -> None:
        self.redis = redis
        self.proxy = proxy
        self.ann = ann
        self.bob = bob
        self.worker = worker  # Bob's

    async def status(self) -> int:
        """What Bob's worker answers at /readyz."""
        async with self.worker.http() as client:
            return (await client.get("/readyz")).status_code

    async def ready(self) -> bool:
        return await self.status() == 200


class Service:
    """Two workers and their Redis, shared by all tests of this file; each has a room of its own."""

    def __init__(self, redis: RedisServer, proxy: SubscriberProxy, near: ChatServer, far: ChatServer) -> None:
        self.redis = redis
        self.proxy = proxy
        self.near = near
        self.far = far  # reaches Redis through the proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with (
        RedisServer("--appendfsync", "always", data=tmp_path_factory.mktemp("redis")) as redis,
        SubscriberProxy(redis.port) as proxy,
        chat_server(redis) as near,
        chat_server(f"redis://127.0.0.1:{proxy.port}/0") as far,
    ):
        yield Service(redis, proxy, near, far)


@pytest_asyncio.fixture(loop_scope="module")
async def room(service: Service, prefix: str) -> AsyncIterator[Room]:
    """Both are in the room, have said something, and have what the other said; in the end no promise is broken."""
    history = History(stayed={"ann", "bob"})
    async with Client("ann", prefix, service.near, history) as ann, Client("bob", prefix, service.far, history) as bob:
        await ann.welcomed()
        await bob.welcomed()
        ann.publish("from ann before")
        bob.publish("from bob before")
        for client in (ann, bob):
            await client.got("from ann before")
            await client.got("from bob before")
        yield Room(service.redis, service.proxy, ann, bob, service.far)
        assert (ann.connected, bob.connected) == (1, 1), "somebody had to reconnect"
    assert violations(history) == []


@asynccontextmanager
async def refused(room: Room) -> AsyncIterator[None]:
    """Bob's worker loses its link, and cannot make a new one."""
    await room.proxy.refuse()
    room.proxy.reset()
    yield
    await room.proxy.accept()


@asynccontextmanager
async def frozen(room: Room) -> AsyncIterator[None]:
    """Bob's worker's link looks alive, but nothing gets through."""
    room.proxy.freeze()
    yield
    room.proxy.thaw()


@asynccontextmanager
async def deaf(room: Room) -> AsyncIterator[None]:
    """Only what Redis pushes to Bob's worker does not get through."""
    room.proxy.freeze_subscribers()
    yield
    room.proxy.thaw_subscribers()


@asynccontextmanager
async def stopped(room: Room) -> AsyncIterator[None]:
    """Redis stands still, for both workers."""
    room.redis.pause()
    yield
    room.redis.resume()


@asynccontextmanager
async def restarted(room: Room) -> AsyncIterator[None]:
    """Redis shuts down in good order, and is started again."""
    await room.redis.stop()
    yield
    await room.redis.start()


@asynccontextmanager
async def killed(room: Room) -> AsyncIterator[None]:
    """Redis is killed, and is started again."""
    await room.redis.kill()
    yield
    await room.redis.start()


@pytest_asyncio.fixture(loop_scope="module")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


outages = pytest.mark.parametrize("outage", [refused, frozen, deaf, stopped, restarted, killed])
partial = pytest.mark.parametrize("outage", [refused, frozen, deaf])

Outage = Callable[[Room], AbstractAsyncContextManager[None]]


@outages
async def test_it_is_said_that_the_broker_is_away_and_that_it_is_back(room: Room, outage: Outage) -> None:
    """`degraded`, then `ok`, each once; the worker is not ready in between; nobody has to reconnect."""
    async with outage(room):
        await room.bob.sees("status", state="degraded", within=10)
        assert await room.status() == 503
    await room.bob.sees("status", state="ok", within=2)
    await until(room.ready, "the worker is ready again", within=2)
    assert [event["state"] for event in room.bob.of("status")] == ["degraded", "ok"]


@outages
async def test_publishing_fails_at_once_while_the_broker_is_away(room: Room, outage: Outage) -> None:
    """With the code `unavailable` and the time after which to try again; then it gets through, once."""
    async with outage(room):
        await room.bob.sees("status", state="degraded", within=10)
        began = time.monotonic()
        id = room.bob.publish("while it was away")
        error = await room.bob.sees("error", id=id)
        assert time.monotonic() - began < 0.5
    assert error["code"] == "unavailable"
    assert error["retry_ms"] > 0
    await room.bob.acknowledged()
    await room.ann.got("while it was away")
    await room.bob.got("while it was away")


@partial
async def test_everybody_has_everything_within_two_seconds_of_its_return(room: Room, outage: Outage) -> None:
    """Also after an outage long enough for the waits between tries to have grown."""
    async with outage(room):
        await room.bob.sees("status", state="degraded", within=10)
        for number in range(300):
            room.ann.publish(f"missed {number}")
        await room.ann.acknowledged()
        await asyncio.sleep(1.5)
    await room.bob.reached(max(room.ann.acks.values()), within=2)


@pytest.mark.parametrize("outage", [stopped, killed])
async def test_everybody_can_speak_within_two_seconds_of_its_return(room: Room, outage: Outage) -> None:
    async with outage(room):
        await room.ann.sees("status", state="degraded", within=10)
        await room.bob.sees("status", state="degraded", within=10)
        await asyncio.sleep(1.5)
    began = time.monotonic()
    await room.ann.sees("status", state="ok", within=2)
    await room.bob.sees("status", state="ok", within=2)
    room.ann.publish("back")
    await room.bob.got("back", within=2 - (time.monotonic() - began))


async def test_a_connection_to_redis_that_is_killed_costs_nothing(room: Room) -> None:
    """While others go on to speak, both workers lose theirs ten times; nobody misses anything."""
    for round in range(10):
        for number in range(20):
            room.ann.publish(f"{round} {number}")
        await room.redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.1)
    await room.ann.acknowledged()
    await room.ann.reached(max(room.ann.acks.values()), within=2)
    await room.bob.reached(max(room.ann.acks.values()), within=2)


async def test_a_reset_link_is_made_again_unnoticed_but_for_the_status(room: Room) -> None:
    for number in range(100):
        room.ann.publish(f"{number}")
        if number % 20 == 10:
            room.proxy.reset()
        await asyncio.sleep(0.005)
    await room.ann.acknowledged()
    await room.bob.reached(max(room.ann.acks.values()), within=2)


async def test_a_subscription_that_is_dead_although_its_connection_is_open_is_found(room: Room) -> None:
    """Messages said before it is found are acknowledged, but not heard; in the end nobody has missed them."""
    async with deaf(room):
        room.ann.publish("not heard")
        room.bob.publish("not heard by himself")
        await room.ann.acknowledged()
        await room.bob.acknowledged()
        assert await room.status() == 200
        await until(lambda: _is(room.status(), 503), "the worker is not ready", within=5)
    await room.bob.got("not heard", within=2)
    await room.bob.got("not heard by himself", within=2)


async def test_nobody_can_join_while_the_broker_is_away(room: Room, stack: AsyncExitStack) -> None:
    """They are asked to try again, and can, once it is back."""
    async with refused(room):
        await room.bob.sees("status", state="degraded")
        cid = await stack.enter_async_context(Client("cid", "elsewhere", room.worker))
        await until(lambda: cid.refusals.count(503) > 2, "the handshake is refused")
    await cid.welcomed(within=2)


async def test_an_emptied_store_is_a_new_epoch_and_a_gap(own_redis: RedisServer) -> None:
    """Who stayed is told of the gap without having to reconnect, and hears what is said from then on."""
    history = History(stayed={"ann"}, epochs_lost=1)
    async with chat_server(own_redis) as chat, Client("ann", "foo", chat, history) as ann:
        await ann.welcomed()
        ann.publish("lost")
        await ann.acknowledged()
        await own_redis.kill()
        await own_redis.start()
        gap = await ann.sees("gap", reason="epoch", within=5)
        ann.publish("new")
        await ann.got("new")
    assert gap["after"] == 1
    assert gap["epoch"] != ann.of("welcome")[0]["epoch"]
    assert violations(history) == []


async def test_people_who_stay_through_an_outage_are_not_said_to_have_left(room: Room) -> None:
    """However long it is: longer than a worker may go without a sign of life."""
    async with stopped(room):
        await asyncio.sleep(10)
    await room.ann.sees("status", state="ok")
    await room.bob.sees("status", state="ok")
    await asyncio.sleep(5)
    for client in (room.ann, room.bob):
        client.send(type="members", id="who")
        assert {member["name"] for member in (await client.sees("members"))["members"]} == {"ann", "bob"}
        assert [event for event in client.of("presence") if event["left"]] == []


async def _is(answer: Awaitable[int], expected: int) -> bool:
    return await answer == expected
