"""A member that stops reading costs the others nothing, and the server a bounded number of bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.checker import History, Place, violations
from tests.faults.client import Client
from tests.faults.conftest import chat_server
from tests.faults.measures import kernel_bytes, metric, open_sockets, resident_bytes
from tests.servers import ChatServer, RedisServer, until

TEXT = "x" * 3500
MANY = 3000  # texts of that length: more than the kernel keeps for a socket at either end
SMALL = 16384  # bytes that a slow client's kernel takes in while the client does not read

either_server = pytest.mark.parametrize("plain", [False, True], ids=["chat serve", "uvicorn"])


def server(redis: RedisServer, *, plain: bool, **settings: str) -> ChatServer:
    return chat_server(
        redis, plain=plain, **{"CHAT_SEND_BUFFER_BYTES": "65536", "CHAT_HISTORY_SIZE": "10000", **settings}
    )


async def flood(ann: Client) -> Place:
    """Say more than a stalled member's socket takes; returns where the room then stands."""
    for number in range(MANY):
        ann.publish(f"{number} {TEXT}")
    await ann.acknowledged(within=60)
    return max(ann.acks.values())


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@either_server
async def test_others_are_not_held_up_and_memory_is_bounded(
    own_redis: RedisServer, stack: AsyncExitStack, plain: bool
) -> None:
    """Twenty members stop reading while 10 MB are said; all others have it, and later the twenty as well."""
    history = History(retained=10_000)
    chat = await stack.enter_async_context(server(own_redis, plain=plain))
    ann, bob = [await stack.enter_async_context(Client(name, "foo", chat, history)) for name in ("ann", "bob")]
    slow = [Client(f"slow {n}", "foo", chat, history, receive_buffer=SMALL) for n in range(20)]
    for client in slow:
        await stack.enter_async_context(client)
    for client in (ann, bob, *slow):
        await client.welcomed()
        client.publish("hello")
        await client.acknowledged()
    before = resident_bytes(chat)
    for client in slow:
        client.stall()
    end = await flood(ann)
    await bob.reached(end)
    # Measured: 2 to 4 MB; without taking them off the live list, when the frames at least are shared, 18 to 39 MB.
    assert resident_bytes(chat) - before < 12_000_000, "they are 200 MB that twenty members have not read"
    assert all(client.at is not None and client.at.offset < end.offset for client in slow)
    for client in slow:
        client.read_on()
    for client in slow:
        await client.reached(end)
        assert client.connected == 1
    history.stayed = {client.name for client in (ann, bob, *slow)}
    assert violations(history) == []


@either_server
async def test_a_message_reaches_the_others_as_fast_as_ever(
    own_redis: RedisServer, stack: AsyncExitStack, plain: bool
) -> None:
    """While fifty members do not read, the way of a message to somebody who does takes milliseconds."""
    chat = await stack.enter_async_context(server(own_redis, plain=plain))
    ann, bob = [await stack.enter_async_context(Client(name, "foo", chat)) for name in ("ann", "bob")]
    slow = [Client(f"slow {n}", "foo", chat, receive_buffer=SMALL) for n in range(50)]
    for client in slow:
        await stack.enter_async_context(client)
    for client in (ann, bob, *slow):
        await client.welcomed()
    for client in slow:
        client.stall()
    await bob.reached(await flood(ann))
    took = []
    for number in range(50):
        began = time.monotonic()
        ann.publish(f"quick {number}")
        await bob.got_new(f"quick {number}")
        took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 0.05


@either_server
async def test_who_does_not_read_for_too_long_is_closed_with_4409_and_can_resume(
    own_redis: RedisServer, plain: bool
) -> None:
    history = History(retained=10_000, stayed={"ann", "slow"})
    async with (
        server(own_redis, plain=plain, CHAT_STALL_TIMEOUT="2") as chat,
        Client("ann", "foo", chat, history) as ann,
        Client("slow", "foo", chat, history, receive_buffer=SMALL) as slow,
    ):
        await ann.welcomed()
        await slow.welcomed()
        slow.stall()
        end = await flood(ann)
        await until(lambda: _metric_is(chat, "chat_stalled_total", 1), "it is closed", within=10)
        slow.read_on()
        await slow.welcomed(2)
        await slow.reached(end)
    assert slow.closes[0] == 4409
    assert violations(history) == []


async def test_who_reads_slowly_but_reads_is_not_closed(own_redis: RedisServer) -> None:
    """The timeout counts from the last progress, and what the kernel takes is no progress."""
    async with (
        server(own_redis, plain=False, CHAT_STALL_TIMEOUT="2") as chat,
        Client("ann", "foo", chat) as ann,
        Client("slow", "foo", chat, receive_buffer=SMALL) as slow,
    ):
        await ann.welcomed()
        await slow.welcomed()
        for number in range(MANY):
            ann.publish(f"{number} {TEXT}")
        for _ in range(16):
            slow.stall()
            await asyncio.sleep(0.5)
            slow.read_on()
            await asyncio.sleep(0.01)
        await ann.acknowledged()
        await slow.reached(max(ann.acks.values()))
        assert slow.closes == []


async def test_the_kernel_keeps_little_for_who_does_not_read(own_redis: RedisServer) -> None:
    """Left to itself it would keep 4 MB for each of them."""
    async with (
        server(own_redis, plain=False) as chat,
        Client("ann", "foo", chat) as ann,
        Client("slow", "foo", chat, receive_buffer=SMALL) as slow,
    ):
        await ann.welcomed()
        await slow.welcomed()
        slow.stall()
        await flood(ann)
        assert 0 < max(kernel_bytes(chat)) < 400_000


UVICORN_WAITS = pytest.param(
    True,
    marks=[pytest.mark.slow, pytest.mark.xfail(reason="uvicorn closes a transport only once all it holds is sent")],
)


@pytest.mark.parametrize("plain", [False, UVICORN_WAITS], ids=["chat serve", "uvicorn"])
async def test_who_never_reads_again_is_let_go_for_good(own_redis: RedisServer, plain: bool) -> None:
    """Its socket does not stay open on the server."""
    async with (
        server(own_redis, plain=plain, CHAT_STALL_TIMEOUT="1") as chat,
        Client("ann", "foo", chat) as ann,
    ):
        await ann.welcomed()
        before = open_sockets(chat)
        async with Client("slow", "foo", chat, receive_buffer=SMALL) as slow:
            await slow.welcomed()
            slow.stall()
            await flood(ann)
            await until(lambda: _metric_is(chat, "chat_connections", 1), "it is no member any more", within=15)
            await until(lambda: open_sockets(chat) <= before, "its socket is closed", within=20)


async def test_a_store_that_is_emptied_is_told_to_who_did_not_read_meanwhile(own_redis: RedisServer) -> None:
    """Its place in the old epoch is far beyond the end of the new one."""
    history = History(retained=10_000, stayed={"ann", "slow"}, epochs_lost=1)
    async with (
        server(own_redis, plain=False) as chat,
        Client("ann", "foo", chat, history) as ann,
        Client("slow", "foo", chat, history, receive_buffer=SMALL) as slow,
    ):
        await ann.welcomed()
        await slow.welcomed()
        slow.stall()
        await flood(ann)
        await own_redis.kill()
        await own_redis.start()
        await ann.sees("gap", reason="epoch")
        ann.publish("new")
        await ann.acknowledged()
        slow.read_on()
        await slow.got("new", within=10)
    assert slow.connected == 1
    assert violations(history) == []


async def test_typing_is_for_those_who_read_and_is_not_kept(own_redis: RedisServer) -> None:
    async with (
        server(own_redis, plain=False) as chat,
        Client("ann", "foo", chat) as ann,
        Client("bob", "foo", chat) as bob,
        Client("slow", "foo", chat, receive_buffer=SMALL) as slow,
    ):
        for client in (ann, bob, slow):
            await client.welcomed()
        slow.stall()
        end = await flood(ann)
        ann.send(type="typing")
        await bob.sees("typing")
        slow.read_on()
        await slow.reached(end)
        bob.send(type="typing")
        event = await slow.sees("typing")
        assert slow.kinds["typing"] == 1
        assert event["user"]["name"] == "bob"
        bob.drop()
        await bob.welcomed(2)
        assert bob.at == end
        assert (await own_redis.cli("XLEN", "chat:{foo}:log")) == str(MANY)


async def test_who_read_on_knows_who_is_here(own_redis: RedisServer) -> None:
    """Comings and goings are not sent to a member that does not read; it is told when it does again."""
    async with (
        server(own_redis, plain=False, CHAT_PRESENCE_GRACE="0.1") as chat,
        Client("ann", "foo", chat) as ann,
        Client("slow", "foo", chat, receive_buffer=SMALL) as slow,
    ):
        await ann.welcomed()
        async with Client("gone", "foo", chat) as gone:
            await gone.welcomed()
            await slow.welcomed()
            await until(lambda: slow.people() == {"ann", "slow", "gone"}, "all know all")
            slow.stall()
            end = await flood(ann)
        async with Client("new", "foo", chat) as new:
            await new.welcomed()
            await until(lambda: ann.people() == {"ann", "slow", "new"}, "those who read know who is here")
            slow.read_on()
            await slow.reached(end)
            await until(lambda: slow.people() == {"ann", "slow", "new"}, "who read on knows it too", within=5)


async def _metric_is(chat: ChatServer, name: str, value: float) -> bool:
    return await metric(chat, name) == value
