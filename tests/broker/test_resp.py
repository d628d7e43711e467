"""One connection to Redis: replies in order, errors where they belong, no wait without an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from chat.broker import resp
from chat.broker.address import Address
from chat.broker.resp import RedisConnection, RedisError
from chat.exceptions import BrokerUnavailable
from tests.servers import RedisServer, until

HELLO = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"


@pytest.fixture
async def connection(shared_redis: RedisServer) -> AsyncIterator[RedisConnection]:
    async with RedisConnection.open(Address(shared_redis.url), patience=2) as connection:
        yield connection


async def test_replies_come_in_the_order_of_the_commands(connection: RedisConnection, prefix: str) -> None:
    """A thousand at once, in one write."""
    replies = [connection.call("INCR", prefix) for _ in range(1000)]
    assert await asyncio.gather(*replies) == list(range(1, 1001))


async def test_an_error_belongs_to_its_command(connection: RedisConnection) -> None:
    """The others have their replies."""
    before, wrong, behind = connection.call("ECHO", "a"), connection.call("NOSUCH"), connection.call("ECHO", "b")
    with pytest.raises(RedisError, match="unknown command"):
        await wrong
    assert (await before, await behind) == (b"a", b"b")


async def test_who_no_longer_waits_shifts_nobodys_reply(connection: RedisConnection) -> None:
    """A reply that nobody wants is thrown away, not handed to the next."""
    connection.call("ECHO", "unwanted").cancel()
    assert await connection.call("ECHO", "wanted") == b"wanted"


async def test_bytes_of_any_kind_go_through(connection: RedisConnection, prefix: str) -> None:
    """Nothing is taken for the protocol's own."""
    value = bytes(range(256)) * 1000 + b"\r\n$-1\r\n"
    await connection.call("SET", prefix, value)
    assert await connection.call("GET", prefix) == value


async def test_what_is_pushed_is_no_reply(shared_redis: RedisServer, prefix: str) -> None:
    """Messages and replies share the connection and do not mix."""
    pushed: list[list[Any]] = []
    address = Address(shared_redis.url)
    async with RedisConnection.open(address, patience=2, on_push=pushed.append) as connection:
        connection.post("SUBSCRIBE", prefix)
        replies = [connection.call("PUBLISH", prefix, str(number)) for number in range(100)]
        assert await asyncio.gather(*replies) == [1] * 100
        await until(lambda: len(pushed) == 101, "all is pushed")
    assert pushed[0] == [b"subscribe", prefix.encode(), 1]
    assert [push[2] for push in pushed[1:]] == [str(number).encode() for number in range(100)]


async def test_a_reply_that_is_late_ends_the_connection(own_redis: RedisServer) -> None:
    """After `patience` seconds; all that are outstanding are told."""
    async with RedisConnection.open(Address(own_redis.url), patience=0.3) as connection:
        own_redis.pause()
        began = time.monotonic()
        replies = await asyncio.gather(*(connection.call("PING") for _ in range(5)), return_exceptions=True)
        own_redis.resume()
    assert 0.2 < time.monotonic() - began < 2
    assert {str(reply) for reply in replies} == {"the broker did not answer within 0.3 s"}
    assert connection.lost.done()


async def test_commands_without_an_answer_are_bounded(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not keep up is no reason to fill the memory."""
    monkeypatch.setattr(resp, "MAX_PENDING", 10)
    async with RedisConnection.open(Address(own_redis.url), patience=5) as connection:
        own_redis.pause()
        replies = [connection.call("PING") for _ in range(10)]
        with pytest.raises(BrokerUnavailable, match="does not keep up"):
            connection.call("PING")
        own_redis.resume()
        assert await asyncio.gather(*replies) == [b"PONG"] * 10


async def test_a_connection_that_is_lost_says_so_at_once(own_redis: RedisServer) -> None:
    """To who waits, and to who comes later."""
    async with RedisConnection.open(Address(own_redis.url), patience=5) as connection:
        own_redis.pause()
        waiting = connection.call("PING")
        await asyncio.sleep(0.05)
        await own_redis.kill()
        with pytest.raises(BrokerUnavailable):
            await waiting
        assert connection.lost.done()
        with pytest.raises(BrokerUnavailable):
            connection.call("PING")


class Answers(asyncio.Protocol):
    """Answers whatever comes by one piece after the other, then closes."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._pieces:
            self._transport.write(self._pieces.pop(0))
        else:
            self._transport.close()


@asynccontextmanager
async def something_else(*pieces: bytes) -> AsyncIterator[Address]:
    """A server that is no Redis."""
    server = await asyncio.get_running_loop().create_server(lambda: Answers(*pieces), "127.0.0.1", 0)
    async with server:
        yield Address(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "not RESP"),
        ([b"-ERR unknown command 'HELLO'\r\n"], "unknown command"),
        ([b""], "no answer within"),
        ([], "lost"),
    ],
)
async def test_what_is_no_redis_is_told(pieces: list[bytes], reason: str) -> None:
    """By the first reason that there is."""
    async with something_else(*pieces) as address:
        with pytest.raises((BrokerUnavailable, RedisError), match=reason):
            async with RedisConnection.open(address, patience=0.3):
                pytest.fail("it was taken for a Redis")


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    """From then on no reply could be trusted to be the right one."""
    async with something_else(HELLO + b"+OK\r\n") as address:
        with pytest.raises(BrokerUnavailable, match="not RESP"):
            async with RedisConnection.open(address, patience=1) as connection:
                await connection.call("PING")


async def test_nobody_there() -> None:
    """A sentence, with the reason of the operating system."""
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        async with RedisConnection.open(Address("redis://127.0.0.1:1"), patience=1):
            pytest.fail("there is somebody")


def test_an_address_is_shown_without_its_credentials() -> None:
    """In the log."""
    assert "hunter2" not in str(Address("redis://user:hunter2@localhost:6379/5"))
