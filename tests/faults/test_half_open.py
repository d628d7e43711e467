"""A client that is gone without having said so is found by its silence."""

from __future__ import annotations

import asyncio

from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.faults.measures import metric
from tests.servers import ChatServer, RedisServer, TcpProxy, until

FAST = {"CHAT_HEARTBEAT": "0.5", "CHAT_PONG_TIMEOUT": "0.5", "CHAT_PRESENCE_GRACE": "0.5"}


async def test_a_client_behind_a_dead_line_is_dropped_within_heartbeat_and_pong_timeout(own_redis: RedisServer) -> None:
    """Its connection looks alive, and it is no member any more; it leaves the list after the grace time."""
    async with (
        chat_server(own_redis, **FAST) as chat,
        TcpProxy(chat.port) as line,
        Client("ann", "foo", chat) as ann,
        Client("bob", "foo", line) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        await until(lambda: ann.people() == {"ann", "bob"}, "both are here")
        line.freeze()
        await until(lambda: _connections_are(chat, 1), "it is dropped", within=1 + 1)
        await until(lambda: ann.people() == {"ann"}, "it is not on the list", within=0.5 + 1)
        line.thaw()


async def test_who_answers_pings_stays_however_silent(own_redis: RedisServer) -> None:
    async with (
        chat_server(own_redis, **FAST) as chat,
        Client("ann", "foo", chat) as ann,
        Client("bob", "foo", chat) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        for number in range(3):
            ann.publish(f"{number}")
            await bob.got(f"{number}")
            await asyncio.sleep(1.2)
        assert (ann.closes, bob.closes) == ([], [])


async def test_who_was_dropped_comes_back_and_has_missed_nothing(own_redis: RedisServer) -> None:
    async with (
        chat_server(own_redis, **FAST) as chat,
        TcpProxy(chat.port) as line,
        Client("ann", "foo", chat) as ann,
        Client("bob", "foo", line) as bob,
    ):
        await ann.welcomed()
        await bob.welcomed()
        line.freeze()
        bob.publish("from bob, into the dead line")
        for number in range(200):
            ann.publish(f"{number}")
        await ann.acknowledged()
        await until(lambda: _connections_are(chat, 1), "it is dropped", within=2)
        line.thaw()
        line.reset()
        await bob.welcomed(2)
        await bob.acknowledged()
        await bob.reached(max(*ann.acks.values(), *bob.acks.values()))
        assert sorted(bob.texts()) == sorted(["from bob, into the dead line", *(str(n) for n in range(200))])


async def _connections_are(chat: ChatServer, count: int) -> bool:
    return await metric(chat, "chat_connections") == count
