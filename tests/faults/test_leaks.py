"""After many came and went, the server is as it was."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.faults.conftest import chat_server
from tests.faults.measures import metric, open_sockets, resident_bytes
from tests.servers import ChatServer, RedisServer, until

ROOMS = 50


either_server = pytest.mark.parametrize(
    "plain", [pytest.param(False, id="chat serve"), pytest.param(True, id="uvicorn", marks=pytest.mark.slow)]
)


@either_server
async def test_two_thousand_who_came_and_went_leave_nothing_behind(own_redis: RedisServer, plain: bool) -> None:
    """No room, no subscription, no socket, no entry on a list."""
    async with chat_server(own_redis, plain=plain, CHAT_PRESENCE_GRACE="0.1") as chat:
        await come_and_go(chat, times=10)
        await until(lambda: _is_empty(chat, own_redis), "the server is empty")
        sockets = open_sockets(chat)
        await come_and_go(chat, times=2000)
        await until(lambda: _is_empty(chat, own_redis), "the server is empty again")
        await until(lambda: open_sockets(chat) <= sockets, "all sockets are closed", within=5)
        assert "Traceback" not in chat.log


@pytest.mark.slow
@either_server
async def test_those_who_came_and_went_cost_no_memory(own_redis: RedisServer, plain: bool) -> None:
    async with chat_server(own_redis, plain=plain, CHAT_PRESENCE_GRACE="0.1", CHAT_IDEMPOTENCY_TTL="1") as chat:
        await come_and_go(chat, times=8000)  # until then the heap takes its shape
        await until(lambda: _is_empty(chat, own_redis), "the server is empty")
        memory = resident_bytes(chat)
        await come_and_go(chat, times=4000)
        await until(lambda: _is_empty(chat, own_redis), "the server is empty again")
        assert resident_bytes(chat) - memory < 3_000_000, "that is more than 750 bytes for each of them"


async def test_refused_handshakes_leave_nothing_behind(own_redis: RedisServer) -> None:
    async with chat_server(own_redis) as chat:
        await be_refused(chat, times=500)
        sockets, memory = open_sockets(chat), resident_bytes(chat)
        await be_refused(chat, times=1000)
        assert resident_bytes(chat) - memory < 4_000_000
        await until(lambda: open_sockets(chat) <= sockets, "all sockets are closed", within=5)
        assert await _is_empty(chat, own_redis)


async def test_handshakes_that_are_given_up_leave_nothing_behind(own_redis: RedisServer) -> None:
    """Clients that go away while a worker that cannot reach Redis lets them wait, or has just accepted them."""
    async with chat_server(own_redis, CHAT_PRESENCE_GRACE="0.1") as chat:
        own_redis.pause()
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(give_up(chat, number))
        own_redis.resume()
        await until(lambda: _is_empty(chat, own_redis), "the server is empty")


async def come_and_go(chat: ChatServer, *, times: int) -> None:
    """Join one of many rooms, say something, hear it, and leave, politely or not; twenty at a time."""
    turn = asyncio.Semaphore(20)

    async def visit(number: int) -> None:
        path = f"/items/room-{number % ROOMS}/ws?token=t{number}&history=0"
        async with turn, chat.ws(path, subprotocols=["chat.v1"] if number % 3 else None) as socket:
            if number % 3:
                await socket.send(json.dumps({"type": "publish", "id": f"{number}", "text": "hello"}))
                while '"ack"' not in await socket.recv():
                    pass
            else:
                await socket.send("hello")
            if number % 4 == 0:
                socket.transport.abort()

    async with asyncio.TaskGroup() as group:
        for number in range(times):
            group.create_task(visit(number))


async def be_refused(chat: ChatServer, *, times: int) -> None:
    for number in range(times):
        reader, writer = await asyncio.open_connection("127.0.0.1", chat.port)
        path = ["/items/a%20b/ws?token=t", "/items/foo/ws", "/items/foo/ws?token=t&since=x"][number % 3]
        writer.write(_handshake(path))
        assert (await reader.readline()).split()[1] in {b"401", b"403", b"422"}
        writer.close()
        await writer.wait_closed()


async def give_up(chat: ChatServer, number: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", chat.port)
    writer.write(_handshake(f"/items/room-{number % ROOMS}/ws?token=t{number}"))
    await asyncio.sleep(number / 200)
    writer.transport.abort()


def _handshake(path: str) -> bytes:
    headers = "Host: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    return f"GET {path} HTTP/1.1\r\n{headers}{key}Sec-WebSocket-Protocol: chat.v1\r\n\r\n".encode()


async def _is_empty(chat: ChatServer, redis: RedisServer) -> bool:
    return (
        await metric(chat, "chat_connections") == 0
        and await metric(chat, "chat_rooms") == 0
        and await redis.cli("PUBSUB", "CHANNELS", "chat:{*") == ""
        and await redis.cli("--raw", "KEYS", "*people*") == ""
    )
