"""A worker may die: its members go on elsewhere, and its people who do not come back leave the list."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator

import pytest

from tests.checker import History, violations
from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.servers import ChatServer, RedisServer, until


@pytest.fixture
async def workers(own_redis: RedisServer) -> AsyncIterator[list[ChatServer]]:
    """Two workers that can be killed one by one."""
    async with chat_server(own_redis) as one, chat_server(own_redis) as two:
        yield [one, two]


async def test_members_of_a_killed_worker_resume_elsewhere_without_loss(workers: list[ChatServer]) -> None:
    """All go on talking; one worker is killed and started again, then the other, several times."""
    history = History(retained=10_000, stayed={"ann", "bob", "cid"})
    one, two = workers
    rand = random.Random(1)
    async with (
        Client("ann", "foo", [one, two], history) as ann,
        Client("bob", "foo", [two, one], history) as bob,
        Client("cid", "foo", [one, two], history) as cid,
    ):
        clients = [ann, bob, cid]
        for client in clients:
            await client.welcomed()
        for round in range(3):
            for worker in workers:
                for number in range(30):
                    rand.choice(clients).publish(f"{round} {number}")
                    await asyncio.sleep(0.003)
                await worker.kill()
                for number in range(30):
                    rand.choice(clients).publish(f"{round} {number} after the kill")
                for client in clients:
                    await client.acknowledged()
                await worker.start()
        end = max(place for client in clients for place in client.acks.values())
        for client in clients:
            await client.reached(end)
        assert end.offset == sum(len(client.acks) for client in clients) == 360
        assert all(client.connected > 3 for client in clients)
    assert violations(history) == []


async def test_people_of_a_killed_worker_leave_the_list_within_15_s_unless_they_come_back(
    workers: list[ChatServer],
) -> None:
    one, two = workers
    async with (
        Client("ann", "foo", two) as ann,
        Client("bob", "foo", [one, two]) as bob,
        Client("cid", "foo", one) as cid,
    ):
        for client in (ann, bob, cid):
            await client.welcomed()
        await until(lambda: ann.people() == {"ann", "bob", "cid"}, "all are on the list")
        await one.kill()
        await until(lambda: ann.people() == {"ann", "bob"}, "who did not come back is gone", within=15)
        await bob.welcomed(2)
        assert ann.last("presence")["count"] == 2
        left = [user["name"] for event in ann.of("presence") for user in event["left"]]
        assert left == ["cid"], "who came back never left"
        ann.send(type="members", id="who")
        assert {user["name"] for user in (await ann.sees("members"))["members"]} == {"ann", "bob"}
        async with Client("dan", "foo", two) as dan:
            assert {user["name"] for user in (await dan.welcomed())["members"]} == {"ann", "bob", "dan"}


async def test_a_reload_is_no_leave(own_redis: RedisServer) -> None:
    """Nobody hears of somebody who comes back within the grace time, to whichever worker; after it they do."""
    async with (
        chat_server(own_redis, CHAT_PRESENCE_GRACE="2") as one,
        chat_server(own_redis, CHAT_PRESENCE_GRACE="2") as two,
        Client("ann", "foo", one) as ann,
        Client("bob", "foo", [two, one]) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        await until(lambda: ann.people() == {"ann", "bob"}, "both are here")
        told = ann.kinds["presence"]
        for _ in range(4):
            bob.drop()
            await bob.welcomed(len(bob.closes) + 1)
        await asyncio.sleep(3)
        assert ann.kinds["presence"] == told
        bob.leave()
        await asyncio.sleep(1)
        assert ann.kinds["presence"] == told
        await until(lambda: ann.people() == {"ann"}, "bob is gone", within=3)
        assert ann.kinds["presence"] == told + 1


async def test_people_in_two_tabs_leave_with_the_last(own_redis: RedisServer) -> None:
    async with (
        chat_server(own_redis, CHAT_PRESENCE_GRACE="0.2") as one,
        chat_server(own_redis, CHAT_PRESENCE_GRACE="0.2") as two,
        Client("ann", "foo", one) as ann,
        Client("bob", "foo", one) as tab,
    ):
        async with Client("bob", "foo", two) as other_tab:
            await tab.welcomed()
            await other_tab.welcomed()
            await until(lambda: ann.people() == {"ann", "bob"}, "both are here")
        await asyncio.sleep(1)
        assert ann.people() == {"ann", "bob"}
        tab.leave()
        await until(lambda: ann.people() == {"ann"}, "bob is gone", within=3)
        assert ann.last("presence")["count"] == 1


async def test_the_supervisor_replaces_a_killed_worker(own_redis: RedisServer) -> None:
    """Members come back to the same address, and nobody misses anything."""
    history = History(stayed={"ann", "bob"})
    async with (
        chat_server(own_redis, workers=2) as chat,
        Client("ann", "foo", chat, history) as ann,
        Client("bob", "foo", chat, history) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        for number, pid in enumerate(chat.worker_pids()):
            os.kill(pid, signal.SIGKILL)
            ann.publish(f"{number} by ann")
            bob.publish(f"{number} by bob")
            await ann.acknowledged()
            await bob.acknowledged()
            await until(lambda: len(chat.worker_pids()) == 2, "there are two workers again", told=chat)
        end = max(*ann.acks.values(), *bob.acks.values())
        await ann.reached(end)
        await bob.reached(end)
        assert len(ann.closes) + len(bob.closes) >= 2
    assert violations(history) == []
