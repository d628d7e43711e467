"""Compression, where it is set and offered: made once for all, and of no use to those who would hurt."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame

from tests.members import join
from tests.servers import ChatServer, RedisServer

LONG = "the same words again and again; " * 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(shared_redis: RedisServer) -> AsyncIterator[ChatServer]:
    async with ChatServer(
        CHAT_BROKER_URL=shared_redis.url, CHAT_BROKER_PREFIX="compress", CHAT_COMPRESS_FROM="200"
    ) as server:
        yield server
        assert "Traceback" not in server.log


@pytest.fixture
def room() -> str:
    return f"compress-{os.urandom(4).hex()}"


async def test_who_offers_it_gets_it_and_hears_the_same(server: ChatServer, room: str) -> None:
    """Long messages and short ones, there and back, among others that do not offer it."""
    async with (
        join(server, room, token="ada", compression="deflate") as ada,
        join(server, room, token="bob") as bob,
    ):
        (extension,) = ada.socket.protocol.extensions
        assert extension.name == "permessage-deflate"
        assert bob.socket.protocol.extensions == []
        for text in ("short", LONG, "Grüße 👋"):
            await ada.send("publish", text=text)
            await bob.send("publish", text=text)
        heard = [message["text"] for message in await ada.messages(6)]
        assert heard == [message["text"] for message in await bob.messages(6)]
        assert sorted(heard) == sorted(2 * ["short", LONG, "Grüße 👋"])


async def test_messages_are_shorter_on_the_wire(server: ChatServer, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long ones; short ones go as they are, because they would not get shorter."""
    sizes = []
    async with join(server, room, token="ada", compression="deflate") as ada:
        (extension,) = ada.socket.protocol.extensions
        decode = extension.decode

        def measure(frame: Frame, **options: Any) -> Frame:
            sizes.append((frame.rsv1, len(frame.data)))
            return decode(frame, **options)

        monkeypatch.setattr(extension, "decode", measure)
        await ada.send("publish", text=LONG)
        await ada.send("publish", text="short")
        await ada.messages(2)
    assert any(rsv1 and size < len(LONG) / 5 for rsv1, size in sizes)
    assert any(not rsv1 for rsv1, _ in sizes)


async def test_the_tutorials_client_may_offer_it_too(server: ChatServer, room: str) -> None:
    async with server.ws(f"/items/{room}/ws?token=t", compression="deflate") as socket:
        await socket.send(LONG)
        assert await socket.recv() == "Session cookie or query token value is: t"
        assert LONG in str(await socket.recv())


async def test_what_swells_when_it_is_read_is_over_the_limit(server: ChatServer, room: str) -> None:
    """A few kilobytes that would be sixteen megabytes: refused as any frame over the limit."""
    async with join(server, room, token="ada", compression="deflate") as ada:
        await ada.socket.send(json.dumps({"type": "publish", "text": "x" * 2**24}))
        with pytest.raises(ConnectionClosed) as closed:
            await ada.messages(1)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4413
    assert len(zlib.compress(b"x" * 2**24)) < 20_000


@pytest.mark.parametrize("bits", [9, 12])
async def test_a_smaller_window_is_not_agreed_on(server: ChatServer, room: str, bits: int) -> None:
    """It would have to be made for that client alone; it hears everything uncompressed."""
    small = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    async with server.ws(
        f"/items/{room}/ws?token=t", compression=None, extensions=[small], subprotocols=["chat.v1"]
    ) as socket:
        assert socket.protocol.extensions == []


async def test_by_default_nothing_is_compressed(shared_redis: RedisServer) -> None:
    async with ChatServer() as server, join(server, "foo", compression="deflate") as ada:
        assert ada.socket.protocol.extensions == []
