"""Several workers: one room, one order, whichever worker each member is connected to."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from tests.members import Member, join
from tests.servers import ChatServer, RedisServer, until

SENTENCE = "people in the same room would not hear each other"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three_workers(shared_redis: RedisServer) -> AsyncIterator[ChatServer]:
    """`chat serve --workers 3` on a real Redis."""
    async with ChatServer(workers=3, CHAT_BROKER_URL=shared_redis.url, CHAT_BROKER_PREFIX="three") as server:
        yield server
        assert "Traceback" not in server.log
        assert "ERROR" not in server.log


async def crowd(stack: AsyncExitStack, server: ChatServer, rooms: list[str]) -> list[Member]:
    """Join once for each of `rooms`, as different people, the same number on every worker."""
    members: list[Member] = []
    workers = server.worker_pids()
    for number, pid in enumerate(workers):
        with server.only(pid):
            for place in range(number, len(rooms), len(workers)):
                one = join(server, rooms[place], token=f"secret-{place}", query="history=0")
                members.append(await stack.enter_async_context(one))
    assert len({str(member.welcome["connection"]).partition("-")[0] for member in members}) == len(workers)
    return members


async def talk(members: list[Member], publishers: list[Member], *, each: int) -> dict[str, list[list[str]]]:
    """Let each of the publishers say so many messages; returns, by room, what each member saw, in its order."""
    expected = Counter({room: each * count for room, count in Counter(map(room_of, publishers)).items()})
    seen: dict[str, list[list[str]]] = defaultdict(list)

    async def say(number: int, member: Member) -> None:
        for count in range(each):
            await member.send("publish", id=f"{number}-{count}", text="hello")

    async def listen(member: Member) -> None:
        heard = await member.messages(expected[room_of(member)])
        assert [message["offset"] for message in heard] == list(range(1, len(heard) + 1))
        seen[room_of(member)].append([message["id"] for message in heard])

    async with asyncio.timeout(60), asyncio.TaskGroup() as everybody:
        for member in members:
            everybody.create_task(listen(member))
        for number, member in enumerate(publishers):
            everybody.create_task(say(number, member))
    return seen


def room_of(member: Member) -> str:
    return str(member.welcome["room"])


def assert_one_order(seen: dict[str, list[list[str]]], *, messages: int) -> None:
    orders = [order[0] for order in seen.values()]
    assert all(other == order[0] for order in seen.values() for other in order), "members of a room saw two orders"
    assert sum(map(len, orders)) == len({id for order in orders for id in order}) == messages


async def test_everybody_sees_one_order(three_workers: ChatServer) -> None:
    """60 members in 3 rooms on 3 workers, 20 of them say 2,000 messages: none is missing, none is doubled."""
    rooms = [f"order-{number // 20}" for number in range(60)]
    async with AsyncExitStack() as stack:
        members = await crowd(stack, three_workers, rooms)
        seen = await talk(members, members[::3], each=100)
    assert_one_order(seen, messages=2000)
    assert {len(orders) for orders in seen.values()} == {20}
    assert not [event for member in members for event in member.seen if event["type"] in {"gap", "error", "status"}]


async def test_plain_uvicorn_keeps_one_order_as_well(own_redis: RedisServer) -> None:
    """`uvicorn chat.main:app --workers 4`: 20 members, 5 of them say 250 messages."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ChatServer(plain=True, workers=4, CHAT_BROKER_URL=own_redis.url))
        members = await crowd(stack, server, ["order"] * 20)
        seen = await talk(members, members[::4], each=50)
    assert_one_order(seen, messages=250)


async def test_people_are_counted_over_all_workers(three_workers: ChatServer) -> None:
    """Everybody is told the same, wherever they are connected."""
    async with AsyncExitStack() as stack:
        members = await crowd(stack, three_workers, ["people"] * 12)

        async def all_know() -> bool:
            return {(await member.ask("members"))["count"] for member in members} == {12}

        await until(all_know, "all members know of all")


async def test_metrics_are_summed_over_all_workers(three_workers: ChatServer) -> None:
    """Whichever worker is asked."""

    def open_sockets(metrics: str) -> float:
        (line,) = [line for line in metrics.splitlines() if line.startswith("chat_connections ")]
        return float(line.split()[1])

    async with three_workers.http() as http:

        async def connections(count: int) -> None:
            async def so_many() -> bool:
                return open_sockets((await http.get("/metrics")).text) == count

            await until(so_many, f"{count} connections are counted")

        await connections(0)
        async with AsyncExitStack() as stack:
            await crowd(stack, three_workers, ["metrics"] * 12)
            await connections(12)
        await connections(0)


async def test_serve_refuses_to_split_rooms() -> None:
    """memory:// with several workers: exit code 2 and a sentence, no traceback."""
    async with ChatServer(wait=False, CHAT_WORKERS="2") as server:
        assert await server.exited() == 2
        assert SENTENCE in server.log
        assert "Traceback" not in server.log


async def test_plain_uvicorn_refuses_to_split_rooms() -> None:
    """The same on `uvicorn chat.main:app --workers 2`: it ends, with the sentence and no traceback."""
    async with ChatServer(plain=True, workers=2, wait=False) as server:
        await server.exited()
        assert SENTENCE in server.log
        assert "Traceback" not in server.log
