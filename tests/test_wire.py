"""The WebSocket protocol of `chat serve`, as other people's endpoints meet it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI, WebSocket

from chat.http import ChatHttp
from chat.manager import ConnectionManager
from chat.protocol import CloseCode, Welcome
from chat.wire import ChatProtocol
from tests.apps import serving
from tests.servers import PATIENCE

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HI, BYE, PING, PONG = b"\x81\x02hi", b"\x88\x02\x03\xe8", b"\x89\x80\0\0\0\0", b"\x8a\x00"

manager = ConnectionManager("memory://")


async def says_hi(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hi")
    await websocket.close()


async def only_closes(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


async def greets_a_member(websocket: WebSocket) -> None:
    async with manager.connect(websocket, "room") as member:
        member.send("hi")
        member.close()


async def closes_a_member(websocket: WebSocket) -> None:
    async with manager.connect(websocket, "room") as member:
        member.close()


async def holds_a_member(websocket: WebSocket) -> None:
    async with manager.connect(websocket, "room") as member:
        await member.publish("hi")
        member.close()


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (says_hi, HI + BYE),
        (only_closes, BYE),
        (greets_a_member, HI + BYE),
        (closes_a_member, BYE),
        (holds_a_member, HI + BYE),
    ],
)
async def test_what_is_said_at_once_comes_behind_the_answer_to_the_handshake(
    endpoint: Callable[[WebSocket], Awaitable[None]], said: bytes
) -> None:
    """Both may leave in one write; whoever writes, the answer goes first, and once."""
    head, rest = await _talk(endpoint)
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert rest == said


async def test_a_member_that_cannot_be_greeted_leaves_nothing_behind() -> None:
    """It is told that something went wrong, and nobody sees it in the room."""

    def fails(room: object, connection: object, recovered: bool) -> Welcome:
        raise RuntimeError("on purpose")

    async def greets(websocket: WebSocket) -> None:
        async with manager.connect(websocket, "room", greet=fails):
            pytest.fail("it was let in")

    head, rest = await _talk(greets)
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert rest[:1] == b"\x88"
    assert rest[2:4] == CloseCode.INTERNAL_ERROR.to_bytes(2)
    assert not manager.rooms
    assert await manager.members("room") == ([], 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_the_answer_comes_although_the_endpoint_ends_at_once(fails: bool) -> None:
    """The client learns that it was let in, then that the connection is over."""

    async def ends(websocket: WebSocket) -> None:
        await websocket.accept()
        if fails:
            raise RuntimeError("on purpose")

    head, rest = await _talk(ends)
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert not rest


async def test_the_answer_comes_where_nothing_is_said() -> None:
    """At once, and not with the first message only."""

    async def listens(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    head, rest = await _talk(listens, then=PING + b"\x88\x80\0\0\0\0")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert rest == PONG + b"\x88\x00"


async def _talk(endpoint: Callable[[WebSocket], Awaitable[None]], *, then: bytes = b"") -> tuple[bytes, bytes]:
    """Return the head of the answer, and what comes behind it up to the end or the server's close."""
    app = FastAPI(lifespan=manager.lifespan)
    app.add_api_websocket_route("/ws", endpoint)
    async with serving(app, ws=ChatProtocol, http=ChatHttp) as served, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(then)
        rest = b""
        while b"\x88" not in rest and (more := await reader.read(1000)):
            rest += more
        writer.close()
        return head, rest
