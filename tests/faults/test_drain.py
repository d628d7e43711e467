"""A deploy is invisible: members are asked to go one after the other, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.checker import History, violations
from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.servers import RedisServer, until


@pytest.mark.parametrize("workers", [1, 2])
async def test_members_are_let_go_one_after_the_other(own_redis: RedisServer, workers: int) -> None:
    """Each hears `draining` with a time of its own and is closed with 1012 then; the exit code is 0."""
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(chat_server(own_redis, workers=workers, CHAT_DRAIN_TIMEOUT="5"))
        members = [await stack.enter_async_context(Client(f"m{n}", "foo", chat)) for n in range(300)]
        for member in members:
            await member.welcomed()
        began = time.monotonic()
        assert await chat.terminate(within=5) == 0
        assert time.monotonic() - began < 5
        for member in members:
            await member.sees("draining")
            assert member.closes[:1] == [1012]
        waits = sorted(member.last("draining")["retry_ms"] for member in members)
        assert waits[0] < 500
        assert waits[-1] > 500
        assert len({wait // 50 for wait in waits}) > 5, "they come back all at once"


async def test_the_close_comes_when_the_announced_time_is_over(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(chat_server(own_redis))
        members = [await stack.enter_async_context(Client(f"m{n}", "foo", chat)) for n in range(200)]
        for member in members:
            await member.welcomed()
        stopping = asyncio.ensure_future(chat.terminate())
        await members[0].sees("draining")
        began = time.monotonic()
        for member in members:
            await until(lambda: len(member.closes) > 0, "it is closed", within=5)  # noqa: B023
        waited = max(member.last("draining")["retry_ms"] for member in members) / 1000
        assert abs(time.monotonic() - began - waited) < 0.5
        await stopping


async def test_nobody_new_is_let_in(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(chat_server(own_redis))
        members = [await stack.enter_async_context(Client(f"m{n}", "foo", chat)) for n in range(300)]
        for member in members:
            await member.welcomed()
        stopping = asyncio.ensure_future(chat.terminate())
        await members[0].sees("draining")
        with pytest.raises(OSError):  # noqa: PT011, refused or reset, as it happens
            await asyncio.open_connection("127.0.0.1", chat.port)
        assert await stopping == 0
        assert all(member.connected == 1 for member in members)


async def test_nothing_is_lost_while_a_replacement_runs(own_redis: RedisServer) -> None:
    """Everybody talks all the time, while the old worker stops and the new one serves."""
    names = [f"m{n}" for n in range(30)]
    history = History(retained=10_000, stayed=set(names))
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(chat_server(own_redis))
        new = await stack.enter_async_context(chat_server(own_redis))
        members = [
            await stack.enter_async_context(Client(name, "foo", [old, new] if n % 2 else [new, old], history))
            for n, name in enumerate(names)
        ]
        for member in members:
            await member.welcomed()
        stopping = asyncio.ensure_future(old.terminate())
        while not stopping.done():
            for member in members:
                member.publish("still talking")
            await asyncio.sleep(0.02)
        assert await stopping == 0
        for member in members:
            await member.acknowledged()
        end = max(place for member in members for place in member.acks.values())
        for member in members:
            await member.reached(end)
            assert set(member.closes) <= {1012}
    assert violations(history) == []


async def test_a_member_that_does_not_read_holds_nothing_up(own_redis: RedisServer) -> None:
    """It hears nothing of the drain, and the worker stops in time all the same."""
    async with (
        chat_server(own_redis, CHAT_DRAIN_TIMEOUT="2", CHAT_SEND_BUFFER_BYTES="65536", CHAT_HISTORY_SIZE="10") as chat,
        Client("ann", "foo", chat) as ann,
        Client("slow", "foo", chat, receive_buffer=16384) as slow,
    ):
        await ann.welcomed()
        await slow.welcomed()
        slow.stall()
        for _ in range(3000):
            ann.publish("x" * 3500)
        await ann.acknowledged()
        began = time.monotonic()
        assert await chat.terminate() == 0
        assert time.monotonic() - began < 2 + 6, "uvicorn gives the last sockets five seconds to close"
