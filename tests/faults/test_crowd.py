"""A thousand people come into one room at once: what each is told of the others stays small."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack

from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.servers import RedisServer, until

CROWD = 1000
LISTED = 200  # people; of more only their number is told


async def test_the_cost_of_presence_is_linear(own_redis: RedisServer) -> None:
    """Joins of the same moment are told as one: each member gets some ten events a second, not one per join."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(chat_server(own_redis))
        two = await stack.enter_async_context(chat_server(own_redis))
        observer = await stack.enter_async_context(Client("observer", "foo", one))
        await observer.welcomed()
        began = time.monotonic()
        crowd = [await stack.enter_async_context(Client(f"p{n}", "foo", [one, two][n % 2])) for n in range(CROWD)]
        for client in crowd:
            await client.welcomed(within=60)
        await until(lambda: observer.last("presence")["count"] == CROWD + 1, "all are counted")
        took = time.monotonic() - began
        assert observer.kinds["presence"] <= took / 0.1 + 10
        for client in [observer, *crowd]:
            await until(lambda: _count(client) == CROWD + 1, "everybody knows the number")  # noqa: B023
        told = sum(len(json.dumps(event)) for client in crowd for event in client.of("presence"))
        # Each hears of at most 200 people by name, and of the number ten times a second.
        assert told < CROWD * (LISTED * 80 + (took / 0.1 + 10) * 80)
        assert observer.closes == []


async def test_above_two_hundred_only_the_number_is_told(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(chat_server(own_redis, CHAT_PRESENCE_GRACE="0.2"))
        crowd = [await stack.enter_async_context(Client(f"p{n}", "foo", chat)) for n in range(LISTED)]
        for client in crowd:
            await client.welcomed()
        first = crowd[0]
        await until(lambda: _count(first) == LISTED, "all are here")
        assert first.people() == {client.name for client in crowd}
        late = await stack.enter_async_context(Client("late", "foo", chat))
        welcome = await late.welcomed()
        assert (welcome["count"], welcome["members"]) == (LISTED + 1, [])
        assert await first.sees("presence", count=LISTED + 1) == {
            "type": "presence",
            "joined": [],
            "left": [],
            "count": LISTED + 1,
        }
        first.send(type="members", id="who")
        answer = await first.sees("members")
        assert (answer["count"], answer["members"]) == (LISTED + 1, [])


async def test_a_crowd_that_leaves_is_told_as_one_as_well(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(chat_server(own_redis, CHAT_PRESENCE_GRACE="0.5"))
        observer = await stack.enter_async_context(Client("observer", "foo", chat))
        async with AsyncExitStack() as crowd:
            for n in range(150):
                await (await crowd.enter_async_context(Client(f"p{n}", "foo", chat))).welcomed()
            await until(lambda: _count(observer) == 151, "all are here")
            told = observer.kinds["presence"]
            began = time.monotonic()
        await until(lambda: observer.people() == {"observer"}, "all are gone")
        assert observer.kinds["presence"] - told <= (time.monotonic() - began) / 0.1 + 2


def _count(client: Client) -> int:
    counts: list[int] = [event["count"] for event in client.events if event["type"] in {"welcome", "presence"}]
    return counts[-1] if counts else 0
