"""No person and no address has more sockets open than are allowed, over all workers."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from websockets.exceptions import InvalidStatus

from chat import ConnectionManager, User
from chat.admission import Admission
from chat.broker import Broker, from_settings
from chat.exceptions import BrokerUnavailable, TooManyConnections
from chat.settings import Settings
from tests.apps import serving
from tests.servers import RedisServer, until


class Worker:
    """One worker's admission, over a way to the broker of its own."""

    def __init__(self, name: str, url: str, *, prefix: str = "chat", per_user: int = 3, per_address: int = 0) -> None:
        settings = Settings.load(
            broker_url=url,
            broker_prefix=prefix,
            broker_timeout=1,
            max_connections_per_user=per_user,
            max_connections_per_address=per_address,
        )
        self.name = name
        self.broker: Broker = from_settings(settings)
        self.admission = Admission(name, self.broker, settings, spawn=self._spawn)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = 0

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def beat(self) -> None:
        self.admission.heed(await self.broker.beat(self.name))

    async def enter(self, user: str | None = "ada", address: str | None = None) -> str:
        """Open a socket; returns its id."""
        self._sockets += 1
        await self.admission.enter(id := f"{self.name}-{self._sockets}", user=user, address=address)
        return id

    async def quiet(self) -> None:
        """Wait until the broker was told everything."""
        while self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def working(*names: str, url: str, **options: Any) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        workers = [Worker(name, url, **options) for name in names]
        for worker in workers:
            await worker.broker.connect()
            stack.push_async_callback(worker.broker.disconnect)
            await worker.beat()
        yield workers
        for worker in workers:
            await worker.quiet()


async def admitted(*attempts: Coroutine[Any, Any, str]) -> list[str]:
    """Return the sockets that got in; the others were refused for that reason and no other."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, str | TooManyConnections), outcome
    return [outcome for outcome in outcomes if isinstance(outcome, str)]


async def seats(redis: RedisServer, prefix: str, quota: str = "user:ada") -> dict[str, int]:
    """Return what the broker has noted, by worker."""
    lines = (await redis.cli("HGETALL", f"{prefix}:{{!workers}}:{quota}")).split()
    return {worker: int(count) for worker, count in zip(lines[::2], lines[1::2], strict=True)}


async def test_exactly_as_many_get_in_as_are_allowed_over_all_workers(shared_redis: RedisServer, prefix: str) -> None:
    """However many ask at once, again and again."""
    async with working("a", "b", "c", url=shared_redis.url, prefix=prefix, per_user=10) as workers:
        for _ in range(20):
            inside = await admitted(*(worker.enter() for worker in workers for _ in range(10)))
            assert len(inside) == 10
            for worker in workers:
                for id in inside:
                    worker.admission.leave(id)
                await worker.quiet()
        assert await seats(shared_redis, prefix) == {}


async def test_a_memory_broker_counts_as_well() -> None:
    async with working("a", url="memory://", per_user=2) as (worker,):
        inside = await admitted(*(worker.enter() for _ in range(5)))
        assert len(inside) == 2
        assert await admitted(worker.enter("bob"))
        worker.admission.leave(inside[0])
        await worker.quiet()
        assert len(await admitted(worker.enter(), worker.enter())) == 1


async def test_an_address_is_shared_by_people_and_a_person_by_addresses() -> None:
    async with working("a", url="memory://", per_user=2, per_address=3) as (worker,):
        for user in ("ada", "bob", "eve"):
            await worker.enter(user, "192.0.2.1")
        with pytest.raises(TooManyConnections, match="3 connections from your address"):
            await worker.enter("dan", "192.0.2.1")
        await worker.enter("ada", "192.0.2.2")
        with pytest.raises(TooManyConnections, match="you have 2 connections"):
            await worker.enter("ada", "192.0.2.3")
        await worker.enter(None, "192.0.2.3")


async def test_what_is_not_limited_is_not_counted(shared_redis: RedisServer, prefix: str) -> None:
    """Nor is somebody from nowhere, such as a proxy's socket in the file system."""
    async with working("a", url=shared_redis.url, prefix=prefix, per_user=0, per_address=1) as (worker,):
        for _ in range(3):
            await worker.enter("ada", None)
        assert await shared_redis.cli("KEYS", f"{prefix}:*user*") == ""


async def test_the_seats_of_a_dead_worker_do_not_count(shared_redis: RedisServer, prefix: str) -> None:
    """After 5 s without a sign of life; the broker's clock is turned here."""
    async with working("a", "b", url=shared_redis.url, prefix=prefix) as (dead, alive):
        for _ in range(3):
            await dead.enter()
        with pytest.raises(TooManyConnections):
            await alive.enter()
        await shared_redis.cli("ZADD", f"{prefix}:{{!workers}}", str(int(time.time()) - 7), "a")
        await alive.enter()
        await shared_redis.cli("ZREM", f"{prefix}:{{!workers}}", "a")
        await alive.enter()
        await alive.enter()
        with pytest.raises(TooManyConnections):
            await alive.enter()
        assert await seats(shared_redis, prefix) == {"b": 3}
        await dead.beat()  # it was only late
        await dead.quiet()
        assert await seats(shared_redis, prefix) == {"a": 3, "b": 3}


async def test_an_emptied_broker_is_told_again(own_redis: RedisServer) -> None:
    """By the next sign of life; a worker's own seats count even before that."""
    async with working("a", url=own_redis.url) as (worker,):
        for _ in range(2):
            await worker.enter()
        await own_redis.cli("FLUSHALL")
        assert len(await admitted(worker.enter(), worker.enter())) == 1
        await own_redis.cli("FLUSHALL")
        await worker.beat()
        await worker.quiet()
        assert await seats(own_redis, "chat") == {"a": 3}


async def test_what_happens_while_the_broker_is_away_is_made_up_for(own_redis: RedisServer) -> None:
    """Nobody gets in, whoever leaves leaves, and what was lost is told again."""
    async with working("a", url=own_redis.url) as (worker,):
        first, *_ = [await worker.enter() for _ in range(3)]
        await own_redis.kill()
        await until(lambda: not worker.broker.available, "the outage is noticed")
        worker.admission.leave(first)
        await worker.quiet()
        with pytest.raises(BrokerUnavailable):
            await worker.enter()
        await own_redis.start()
        await until(lambda: worker.broker.available, "the broker is back")
        await worker.beat()
        await worker.quiet()
        assert await seats(own_redis, "chat") == {"a": 2}
        assert len(await admitted(worker.enter(), worker.enter())) == 1


async def test_the_count_is_right_in_the_end_whatever_happens(own_redis: RedisServer) -> None:
    """Three workers, people who come and go or give up waiting, links that break, a store that is emptied."""
    chance = random.Random(11)
    async with working("a", "b", "c", url=own_redis.url, per_user=5, per_address=8) as workers:
        inside: list[tuple[Worker, str, str]] = []
        emptied = False  # and not told again yet

        async def visit(worker: Worker, user: str) -> None:
            try:
                inside.append((worker, await worker.enter(user, "192.0.2.1"), user))
            except (TooManyConnections, BrokerUnavailable):
                return
            assert emptied or len([who for _, _, who in inside if who == user]) <= 5

        for turn in range(60):
            visits = [
                asyncio.create_task(visit(*chance.choice([(w, u) for w in workers for u in ("ada", "bob")])))
                for _ in range(chance.randrange(12))
            ]
            for _ in range(chance.randrange(8)):
                if inside:
                    worker, id, _ = inside.pop(chance.randrange(len(inside)))
                    worker.admission.leave(id)
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
            for gives_up in chance.sample(visits, len(visits) // 4):
                gives_up.cancel()
            if turn % 20 == 7:
                await own_redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
            if turn % 20 == 13:
                emptied = True
                await own_redis.cli("FLUSHALL")
            if turn % 10 == 9:
                await asyncio.gather(*visits, return_exceptions=True)
                await until(lambda: all(worker.broker.available for worker in workers), "all are connected")
                for worker in workers:
                    await worker.beat()
                    await worker.quiet()
                emptied = False
            await asyncio.gather(*visits, return_exceptions=True)
            assert not [visit for visit in visits if not visit.cancelled() and visit.exception()]
        for worker in workers:
            await worker.beat()
            await worker.quiet()
        open_now = Counter((worker.name, quota) for worker, _, user in inside for quota in (user, "192.0.2.1"))
        for quota in ("user:ada", "user:bob", "address:192.0.2.1"):
            noted = {
                (name, quota.partition(":")[2]): count
                for name, count in (await seats(own_redis, "chat", quota)).items()
            }
            assert noted == {key: count for key, count in open_now.items() if key[1] == quota.partition(":")[2]}


async def test_an_answer_that_nobody_waited_for_takes_no_seat(shared_redis: RedisServer, prefix: str) -> None:
    """The client was gone before it was in."""
    async with working("a", url=shared_redis.url, prefix=prefix) as (worker,):
        for _ in range(10):
            entering = asyncio.create_task(worker.enter())
            await asyncio.sleep(0)
            entering.cancel()
            await asyncio.wait({entering})
        await worker.quiet()
        assert await seats(shared_redis, prefix) == {}
        assert len(await admitted(*(worker.enter() for _ in range(5)))) == 3


async def test_nobody_is_counted_before_the_worker_is_known_to_live(shared_redis: RedisServer, prefix: str) -> None:
    """Else others would take its seats for those of the dead."""
    worker = Worker("a", shared_redis.url, prefix=prefix)
    await worker.broker.connect()
    try:
        entering = asyncio.create_task(worker.enter())
        await asyncio.sleep(0.05)
        assert not entering.done()
        await worker.beat()
        await asyncio.wait_for(entering, 10)
    finally:
        await worker.broker.disconnect()


async def test_a_full_address_that_may_be_a_proxys_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Behind an unknown proxy everybody has its address. Public ones are nobody's business."""
    async with working("a", url="memory://", per_user=0, per_address=1) as (worker,):
        for address in ("1.1.1.1", "10.0.0.1", "10.0.0.2"):
            await worker.enter(None, address)
        for address in ("1.1.1.1", "10.0.0.1", "10.0.0.2"):
            with pytest.raises(TooManyConnections):
                await worker.enter(None, address)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "chat.admission"]
    assert "10.0.0.1" in warning
    assert "CHAT_TRUSTED_PROXIES" in warning


async def test_an_app_of_ones_own_is_held_to_it_as_well() -> None:
    """A guest without a name is a person of its own, and has only its address to share. Who leaves makes room."""
    limits = Settings.load(max_connections_per_user=1, max_connections_per_address=3)
    manager = ConnectionManager(settings=limits)
    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/{name}")
    async def endpoint(websocket: WebSocket, name: str) -> None:
        user = None if name == "guest" else User(name, name)
        async with manager.connect(websocket, "tea", user=user) as connection:
            async for _ in connection:
                pass

    async with serving(app) as served, AsyncExitStack() as stack:

        async def enters(name: str) -> bool:
            try:
                await stack.enter_async_context(served.ws(f"/{name}"))
            except InvalidStatus:
                return False
            return True

        assert [await enters(name) for name in ("ada", "ada", "guest", "guest", "guest")] == [
            True,
            False,
            True,
            True,
            False,
        ]
        await stack.aclose()
        await until(lambda: not manager.rooms, "they have left")
        assert await enters("ada")
