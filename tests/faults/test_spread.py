"""Connections are spread evenly over the workers of one address, whatever becomes of these."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chat.spread import Counts
from tests.faults.conftest import chat_server
from tests.members import Member, join
from tests.servers import ChatServer, RedisServer, until


async def enter(stack: AsyncExitStack, chat: ChatServer, count: int) -> list[Member]:
    """Join so many times, all at once."""
    joins = [join(chat, f"room-{n % 7}", token=f"secret-{n}", query="history=0") for n in range(count)]
    return list(await asyncio.gather(*[stack.enter_async_context(one) for one in joins]))


def by_worker(members: list[Member]) -> Counter[str]:
    return Counter(str(member.welcome["connection"]).partition("-")[0] for member in members)


@pytest.mark.parametrize("workers", [2, 4])
async def test_each_worker_gets_its_share(own_redis: RedisServer, workers: int) -> None:
    """To within a tenth."""
    async with chat_server(own_redis, workers=workers) as chat, AsyncExitStack() as stack:
        counts = by_worker(await enter(stack, chat, 50 * workers))
    assert len(counts) == workers
    assert all(45 <= count <= 55 for count in counts.values()), counts


async def test_a_worker_that_took_the_place_of_another_catches_up(own_redis: RedisServer) -> None:
    """It gets those who come until it has as many as the rest; what it replaced is not waited for."""
    async with chat_server(own_redis, workers=2) as chat, AsyncExitStack() as stack:
        first = await enter(stack, chat, 40)
        os.kill(chat.worker_pids()[0], signal.SIGKILL)
        await until(lambda: chat.log.count("startup complete") == 3, "there are two workers again", told=chat)
        second = await enter(stack, chat, 18)
    (newcomer,) = set(by_worker(second)) - set(by_worker(first))
    assert by_worker(second)[newcomer] >= 16


async def test_who_stands_still_is_not_waited_for_long(own_redis: RedisServer) -> None:
    async with chat_server(own_redis, workers=2) as chat, AsyncExitStack() as stack:
        with chat.only(chat.worker_pids()[0]):
            async with asyncio.timeout(5):
                counts = by_worker(await enter(stack, chat, 30))
    assert list(counts.values()) == [30]


def test_a_place_is_had_by_one_worker_at_a_time(tmp_path: Path) -> None:
    """What one tells, the others read; who has closed is not counted."""
    path = tmp_path / "counts"
    Counts.create(path, workers=2)
    own = Counts(path)
    assert own.fewest() is None
    if (other := os.fork()) == 0:  # locks are a process's own
        counts = Counts(path)
        counts.tell(7)
        os._exit(0 if counts.fewest() is None else 1)
    assert os.waitpid(other, 0)[1] == 0
    own.tell(9)
    assert own.fewest() == 7
    own.close()
    late = Counts(path)
    assert late.fewest() == 7
    late.close()
