"""Strangers who want too much: it costs them their connection, the server some bytes, and nobody else anything.

All of it goes over loopback, in a bounded number of pieces. Each bound on memory is stated beside what was sent.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from statistics import median
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.faults.measures import open_sockets, resident_bytes
from tests.members import Member, join
from tests.security.conftest import NO_LIMITS
from tests.security.wire import BINARY, CONTINUATION, PING, TEXT, Wire, connected, frame, handshake, opened
from tests.servers import ChatServer, until

MB = 1_000_000
HANDSHAKE_TIMEOUT = 2
ROUND_TRIP = 1.0  # seconds that a message takes at most in the middle of a flood; the machine makes that as well


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer(CHAT_HANDSHAKE_TIMEOUT=str(HANDSHAKE_TIMEOUT), **NO_LIMITS) as server:  # type: ignore[arg-type]
        yield server
        assert "Traceback" not in server.log
        assert len(server.log) < 100_000, "nobody can fill the disk"


@asynccontextmanager
async def unharmed(server: ChatServer, *, memory: float) -> AsyncIterator[Member]:
    """Somebody chats while the block lasts, in time; then the server holds no more than `memory` bytes above what it
    held before, and no more sockets.
    """
    async with join(server, f"calm-{secrets.token_hex(4)}", token="bystander", query="history=0") as bystander:
        for _ in range(20):
            await bystander.say("warm up")
        sockets, before = open_sockets(server), resident_bytes(server)
        took: list[float] = []
        chatting = asyncio.create_task(_chat(bystander, took))
        try:
            yield bystander
        finally:
            chatting.cancel()
            with suppress(asyncio.CancelledError):
                await chatting
        held = resident_bytes(server) - before
        await bystander.say("still here")
        await until(lambda: open_sockets(server) <= sockets, "all sockets are closed", within=HANDSHAKE_TIMEOUT + 15)
    assert held < memory, f"{held} bytes more are held"
    assert not took or median(took) < ROUND_TRIP


async def _chat(bystander: Member, took: list[float]) -> None:
    while True:
        began = time.monotonic()
        await bystander.say("on we go")
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.1)


async def all_of(jobs: Iterable[Awaitable[None]], *, at_once: int = 200) -> None:
    turn = asyncio.Semaphore(at_once)

    async def one(job: Awaitable[None]) -> None:
        async with turn:
            await job

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(one(job))


# --- connections ---


async def test_two_thousand_handshakes_most_of_them_abandoned(server: ChatServer) -> None:
    """Bound: 20 MB, for 2,000 of them; an idle member weighs some 10 kB."""
    whole = handshake("/items/flood/ws?token=t&history=0", sec_websocket_protocol="chat.v1")

    async def knock(number: int) -> None:
        async with connected(server) as wire:
            wire.send(whole[: len(whole) if number % 4 == 0 else number % len(whole)])
            if number % 8 == 0:
                assert (await wire.head())[0] == 101

    async with unharmed(server, memory=20 * MB):
        await all_of(knock(number) for number in range(2000))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /items/tea/ws HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{",
        b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        handshake("/ws", content_length="5"),
    ],
    ids=["nothing", "half a head", "half a body", "half a chunked body", "a handshake with a body"],
)
async def test_five_hundred_who_take_their_time_are_let_go(server: ChatServer, said: bytes) -> None:
    """A byte now and then is not enough. Bound: 10 MB for 500."""

    async def dawdle(_: int) -> None:
        async with connected(server) as wire:
            wire.send(said)
            began = time.monotonic()
            with suppress(ConnectionError):
                while time.monotonic() < began + HANDSHAKE_TIMEOUT + 10:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await wire.reader.read()
                            return
                    wire.send(b"x")
                raise AssertionError("it is still connected")

    async with unharmed(server, memory=10 * MB):
        await all_of((dawdle(number) for number in range(500)), at_once=500)


@pytest.mark.parametrize("many", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_many_rooms_cost_a_few_kilobytes_each(server: ChatServer, many: int) -> None:
    """Bound: 8 kB for each in which something is said, kept as long as its messages are, and 5 MB."""
    async with unharmed(server, memory=many * 8000 + 5 * MB), server.http() as http:

        async def say(number: int) -> None:
            answer = await http.post(f"/items/flood-{many}-{number}/messages?token=t", json={"text": "x"})
            assert answer.status_code == 201

        await all_of((say(number) for number in range(many)), at_once=20)


async def test_rooms_that_are_only_asked_for_cost_next_to_nothing(server: ChatServer) -> None:
    """Bound: 4 kB for each of 300, and 5 MB."""
    async with unharmed(server, memory=300 * 4000 + 5 * MB), server.http() as http:

        async def ask(number: int) -> None:
            assert (await http.get(f"/items/asked-{number}/messages?token=t")).status_code == 200
            assert (await http.get(f"/items/asked-{number}/members?token=t")).status_code == 200

        await all_of((ask(number) for number in range(300)), at_once=20)


async def test_a_client_in_many_rooms_leaves_nothing_behind(server: ChatServer) -> None:
    """300 rooms at a time. Bound: 15 MB."""
    async with unharmed(server, memory=15 * MB), AsyncExitStack() as stack:
        for number in range(300):
            await stack.enter_async_context(join(server, f"tour-{number}", query="history=0"))


# --- what is sent ---


async def refused(server: ChatServer, sent: Iterable[bytes], *codes: int, protocol: str = "chat.v1") -> None:
    """Send as much of it as the server takes; it closes by one of the codes, or just ends what goes on regardless."""
    async with opened(server, "/items/flood/ws?token=t&history=0", [protocol] if protocol else []) as wire:
        writing = asyncio.create_task(pour(wire, sent))
        _, code, _ = await wire.rest()
        assert code in {*codes, 1006}
        writing.cancel()
        await asyncio.wait([writing])


async def pour(wire: Wire, sent: Iterable[bytes]) -> None:
    with suppress(ConnectionError):
        for piece in sent:
            wire.send(piece)
            await wire.writer.drain()


async def test_a_message_in_a_hundred_thousand_pieces_is_not_waited_for(server: ChatServer) -> None:
    """Of nothing, and of one byte; by twenty at once. Bound: 20 MB."""
    async with unharmed(server, memory=20 * MB):
        for payload in (b"", b"x"):
            pieces = [frame(TEXT, payload, fin=False)] + [frame(CONTINUATION, payload, fin=False) * 1000] * 100
            await all_of(refused(server, pieces, 4413) for _ in range(20))


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
async def test_deep_json_is_refused(server: ChatServer, opening: bytes) -> None:
    """As a frame, and as data; a hundred times. Bound: 10 MB."""
    depth = 60_000 // len(opening)
    deep = frame(TEXT, opening * depth)
    data = frame(TEXT, b'{"type":"publish","data":' + opening * depth)
    async with unharmed(server, memory=10 * MB):
        await all_of(refused(server, [sent], 4400) for sent in [deep, data] * 50)


async def test_large_bodies_are_not_read(server: ChatServer) -> None:
    """20 MB each, by every route that reads one, with and without their length. Bound: 10 MB."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"[" * MB

    async def post(path: str, content: bytes | AsyncIterator[bytes]) -> None:
        async with server.http() as http:
            with suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
                answer = await http.post(path, content=content, headers={"Content-Type": "application/json"})
                assert answer.status_code == 413

    async with unharmed(server, memory=10 * MB):
        for path in ("/session", "/tokens?token=t", "/revocations?token=t", "/items/flood/messages?token=t"):
            await post(path, chunks())
            await post(path, b"[" * 20 * MB)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ",
        b"GET /",
        b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX-Trailer: ",
    ],
    ids=["a header", "an address", "a chunk's extension", "a trailer"],
)
async def test_a_head_has_an_end(server: ChatServer, head: bytes) -> None:
    """20 MB each, by ten at once. Bound: 10 MB."""

    async def send(number: int) -> None:
        async with connected(server) as wire:
            writing = asyncio.create_task(pour(wire, [head, *[b"x" * 10_000] * 2000]))
            status, _ = await wire.head()
            assert status in {0, 400, 431}
            writing.cancel()
            await asyncio.wait([writing])

    async with unharmed(server, memory=10 * MB):
        await all_of(send(number) for number in range(10))


async def test_text_that_is_no_utf_8_is_refused_a_thousand_times(server: ChatServer) -> None:
    """Bound: 10 MB."""
    async with unharmed(server, memory=10 * MB):
        await all_of(refused(server, [frame(TEXT, b"\xff" * 100)], 1007) for _ in range(1000))


async def test_compression_is_not_agreed_on_and_so_is_a_violation(server: ChatServer) -> None:
    """A bomb: 64 MB in 64 kB, which are never unpacked. Bound: 10 MB."""
    compressor = zlib.compressobj(wbits=-15)
    bomb = compressor.compress(bytes(64 * MB)) + compressor.flush()
    async with unharmed(server, memory=10 * MB), connected(server) as wire:
        wire.send(handshake("/items/flood/ws?token=t", sec_websocket_extensions="permessage-deflate"))
        status, headers = await wire.head()
        assert status == 101
        assert "sec-websocket-extensions" not in headers
        wire.send(frame(BINARY, bomb[:60_000], reserved=4))
        assert (await wire.rest())[1] == 1002


@pytest.mark.parametrize(("plain", "code", "memory"), [(False, 4413, 10 * MB), (True, 1009, 80 * MB)])
async def test_a_bomb_is_unpacked_up_to_the_limit_only(plain: bool, code: int, memory: float) -> None:
    """Where compression is agreed on, as plain uvicorn does, up to 16 MiB. 64 MB in 64 kB. Bounds: 10, and 80 MB."""
    compressor = zlib.compressobj(wbits=-12)
    bomb = compressor.compress(bytes(64 * MB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    limits: dict[str, Any] = {**NO_LIMITS, "CHAT_COMPRESS_FROM": "1"}
    async with (
        ChatServer(plain=plain, **limits) as server,
        unharmed(server, memory=memory),
        connected(server) as wire,
    ):
        wire.send(handshake("/items/flood/ws?token=t", sec_websocket_extensions="permessage-deflate"))
        status, headers = await wire.head()
        assert (status, headers["sec-websocket-extensions"][:18]) == (101, "permessage-deflate")
        wire.send(frame(BINARY, bomb[:60_000], reserved=4))
        assert (await wire.rest())[1] == code


@pytest.mark.parametrize("payload", [b"", b"p" * 125], ids=["empty", "full"])
async def test_who_pings_and_reads_no_pong_costs_no_memory(server: ChatServer, payload: bytes) -> None:
    """A hundred thousand or more by each of three. Bound: 10 MB; and others have their turn in between."""
    pings = frame(PING, payload) * 1000

    def ping() -> None:
        """In a thread, so that what is measured is the server."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=2) as wire, suppress(TimeoutError):
            wire.sendall(handshake("/items/flood/ws?token=t&history=0", sec_websocket_protocol="chat.v1"))
            assert wire.recv(12) == b"HTTP/1.1 101"
            for _ in range(200 if payload else 100):
                wire.sendall(pings)

    async with unharmed(server, memory=10 * MB):
        await all_of(asyncio.to_thread(ping) for _ in range(3))


@pytest.mark.parametrize("sent", ["publish", "nonsense"])
async def test_who_sends_over_the_rate_is_closed_and_the_others_hear_little_of_it(sent: str) -> None:
    """Ten at once, up to 20,000 commands each, in large pieces. Bound: 15 MB."""
    limits: dict[str, Any] = {**NO_LIMITS, "CHAT_RATE_LIMIT": "20", "CHAT_RATE_BURST": "40"}
    command = json.dumps({"type": sent, "text": "spam"}).encode()
    async with ChatServer(**limits) as server, join(server, "flood", query="history=0") as member:
        async with unharmed(server, memory=15 * MB):
            began = time.monotonic()
            await all_of(refused(server, [frame(TEXT, command) * 100] * 200, 4429) for _ in range(10))
            allowed = 10 * (40 + 20 * (time.monotonic() - began) + 1)
        await member.say("quiet at last")
        assert len([event for event in member.seen if event.get("text") == "spam"]) <= allowed


async def test_who_never_reads_answers_costs_no_memory(server: ChatServer) -> None:
    """Of the echo, and of a thousand requests on one connection. Bound: 15 MB."""
    echoes = [frame(BINARY, b"x" * 60_000)] * 500
    requests = [b"GET /static/js/main.js HTTP/1.1\r\nHost: x\r\n\r\n" * 100] * 100

    async def ask(sent: list[bytes], path: str | None) -> None:
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(opened(server, path) if path else connected(server))
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await pour(wire, sent)

    async with unharmed(server, memory=15 * MB):
        await all_of([*(ask(echoes, "/ws") for _ in range(5)), *(ask(requests, None) for _ in range(5))])
