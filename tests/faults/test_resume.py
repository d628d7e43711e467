"""Who comes back gets what it missed, once and in order, or is told what it cannot get."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tests.checker import History, Place, violations
from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.servers import ChatServer, RedisServer


@pytest.fixture(params=["memory", "redis"])
async def broker_url(request: pytest.FixtureRequest, own_redis: RedisServer) -> str:
    return "memory://" if request.param == "memory" else own_redis.url


@pytest.fixture
async def chat(broker_url: str) -> AsyncIterator[ChatServer]:
    async with chat_server(broker_url, CHAT_HISTORY_SIZE="10000") as chat:
        yield chat


@pytest.fixture
async def forgetful_chat(broker_url: str) -> AsyncIterator[ChatServer]:
    """Keeps ten messages."""
    async with chat_server(broker_url, CHAT_HISTORY_SIZE="10") as chat:
        yield chat


async def say(client: Client, *, times: int) -> Place:
    """Say so much; returns where the room then stands at least."""
    for number in range(times):
        client.publish(f"{number}")
    await client.acknowledged()
    return max(client.acks.values())


async def test_a_replay_merges_with_thousands_of_messages_that_arrive_meanwhile(chat: ChatServer) -> None:
    """Five members come back again and again, from far and near, while two others never stop talking."""
    history = History(retained=10_000)
    names = [f"restless {n}" for n in range(5)]
    async with (
        Client("ann", "foo", chat, history) as ann,
        Client("bob", "foo", chat, history) as bob,
        Client(names[0], "foo", chat, history) as first,
        Client(names[1], "foo", chat, history) as second,
        Client(names[2], "foo", chat, history) as third,
        Client(names[3], "foo", chat, history) as fourth,
        Client(names[4], "foo", chat, history) as fifth,
    ):
        restless = [first, second, third, fourth, fifth]
        for client in (ann, bob, *restless):
            await client.welcomed()
        rand = random.Random(1)
        for number in range(2500):
            ann.publish(f"ann {number}")
            bob.publish(f"bob {number}")
            if number % 25 == 0:
                rand.choice(restless).drop()
                await asyncio.sleep(rand.uniform(0, 0.04))
        await ann.acknowledged()
        await bob.acknowledged()
        end = max(*ann.acks.values(), *bob.acks.values())
        for client in (ann, bob, *restless):
            await client.reached(end)
        assert end.offset == 5000
        assert sum(client.connected for client in restless) > 40
    history.stayed = {"ann", "bob", *names}
    assert violations(history) == []


async def test_who_comes_back_to_another_worker_misses_nothing(own_redis: RedisServer) -> None:
    history = History(stayed={"ann", "bob"})
    async with (
        chat_server(own_redis) as one,
        chat_server(own_redis) as two,
        Client("ann", "foo", one, history) as ann,
        Client("bob", "foo", [one, two], history) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        for _ in range(10):
            await say(ann, times=30)
            bob.drop()
            await say(ann, times=30)
            await bob.welcomed(len(bob.closes) + 1)
        await bob.reached(await say(ann, times=30))
        assert bob.connected > 10
    assert violations(history) == []


async def test_the_welcome_says_where_the_replay_ends(chat: ChatServer) -> None:
    """Who has seen that offset is caught up; with nothing missed, it is where the client stood."""
    async with Client("ann", "foo", chat) as ann, Client("bob", "foo", chat) as bob:
        await bob.welcomed()
        bob.leave()
        end = await say(ann, times=300)
        bob.come_back()
        welcome = await bob.welcomed(2)
        assert (welcome["recovered"], welcome["epoch"], welcome["offset"]) == (True, *end)
        await bob.reached(end)
        bob.drop()
        welcome = await bob.welcomed(3)
        assert (welcome["recovered"], welcome["epoch"], welcome["offset"]) == (True, *end)


async def test_what_the_log_does_not_have_any_more_is_a_gap(forgetful_chat: ChatServer) -> None:
    history = History(retained=10, stayed={"ann", "bob"})
    async with (
        Client("ann", "foo", forgetful_chat, history) as ann,
        Client("bob", "foo", forgetful_chat, history) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        await bob.reached(await say(ann, times=3))
        bob.leave()
        end = await say(ann, times=100)
        # While anybody is in the room, the worker itself may have more of them than the log.
        ann.leave()
        await asyncio.sleep(0.5)
        ann.come_back()
        await ann.welcomed(2)
        bob.come_back()
        assert (await bob.welcomed(2))["recovered"] is False
        assert await bob.sees("gap") == {
            "type": "gap",
            "after": 3,
            "before": 94,
            "reason": "trimmed",
            "epoch": end.epoch,
        }
        await bob.reached(end)
        assert bob.texts()[3:] == [str(number) for number in range(90, 100)]
    assert violations(history) == []


async def test_a_log_that_was_lost_meanwhile_is_a_gap(broker_url: str, own_redis: RedisServer) -> None:
    """In memory by a restart of the service, in Redis by one of Redis; the epoch is another one."""
    history = History(stayed={"ann", "bob"}, epochs_lost=1)
    async with (
        chat_server(broker_url) as chat,
        Client("ann", "foo", chat, history) as ann,
        Client("bob", "foo", chat, history) as bob,
    ):
        before = (await bob.welcomed())["epoch"]
        await bob.reached(await say(ann, times=3))
        bob.leave()
        lost = own_redis if broker_url == own_redis.url else chat
        await lost.kill()
        await lost.start()
        ann.publish("new")
        await ann.acknowledged()
        bob.come_back()
        assert (await bob.welcomed(2))["recovered"] is False
        gap = await bob.sees("gap")
        assert (gap["after"], gap["before"], gap["reason"]) == (3, 1, "epoch")
        assert gap["epoch"] != before
        await bob.got("new")
        await ann.got("new")
    assert violations(history) == []


async def test_an_offset_that_never_was_is_told_apart(chat: ChatServer) -> None:
    """Nobody waits for offsets that somebody made up; what is said from then on arrives."""
    async with Client("ann", "foo", chat) as ann:
        epoch, offset = await say(ann, times=3)
        async with Client("eve", "foo", chat, query={"since": f"{epoch}:{offset + 1000}"}) as eve:
            assert (await eve.welcomed())["recovered"] is False
            assert (await eve.sees("gap"))["reason"] == "ahead"
            ann.publish("news")
            await eve.got("news")


async def test_the_same_message_again_is_no_second_one(chat: ChatServer) -> None:
    """However often it is sent, by whichever connection of the same person; the answer is the first one."""
    history = History(stayed={"ann"})
    async with Client("ann", "foo", chat, history) as ann:
        await ann.welcomed()
        for _ in range(5):
            ann.publish("once", id="only")
            await ann.acknowledged()
            ann.drop()
            await ann.welcomed(len(ann.closes) + 1)
        await ann.sees("ack", 5)
        assert {(ack["epoch"], ack["offset"]) for ack in ann.of("ack")} == {ann.acks["only"]}
        assert [ack["duplicate"] for ack in ann.of("ack")] == [False, True, True, True, True]
        assert ann.texts() == ["once"]
    assert violations(history) == []


async def test_another_person_cannot_spend_a_message_id(chat: ChatServer) -> None:
    async with Client("ann", "foo", chat) as ann, Client("eve", "foo", chat) as eve:
        eve.publish("eve's", id="guessed")
        await eve.acknowledged()
        ann.publish("ann's", id="guessed")
        await ann.acknowledged()
        await eve.got("ann's")
        assert ann.last("ack")["duplicate"] is False
