"""The way to a socket on any ASGI server: in order, bounded, and never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat import transport as module
from chat.frames import Batch, Payload
from chat.transport import WEBSOCKET, AsgiTransport
from tests.servers import until


class Client:
    """Keeps what it is sent; does not read while `reading` is clear, fails once it is `gone`."""

    def __init__(self) -> None:
        self.received: list[str | int] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = False

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        if self.gone:
            raise OSError("connection reset")
        self.received.append(message["code"] if message["type"] == "websocket.close" else message["text"])


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def paused(self) -> None:
        self.told.append("paused")

    def resumed(self) -> None:
        self.told.append("resumed")

    def closed(self) -> None:
        self.told.append("closed")

    def unclosable(self) -> None:
        self.told.append("unclosable")

    def stopping(self) -> None:
        self.told.append("stopping")


@asynccontextmanager
async def connected(*, limit: int = 100) -> AsyncIterator[tuple[AsgiTransport, Client, Notes]]:
    client, notes = Client(), Notes()
    transport = AsgiTransport(client.send, WEBSOCKET)
    transport.attach(notes, limit=limit)
    task = asyncio.create_task(transport.run())
    try:
        yield transport, client, notes
    finally:
        task.cancel()
        await asyncio.wait({task})


def batch(*texts: str) -> Batch:
    return Batch([Payload(text.encode()) for text in texts])


async def test_what_is_written_arrives_in_order_and_the_close_behind_it() -> None:
    """Writing waits for nobody; what is written after the close goes nowhere."""
    async with connected() as (transport, client, notes):
        transport.write(batch("a", "b"))
        transport.write(batch("c"))
        transport.close(4400, "enough")
        transport.close(1000, "again")
        transport.write(batch("late"))
        async with asyncio.timeout(5):
            await transport.closed()
    assert client.received == ["a", "b", "c", 4400]
    assert notes.told == ["closed"]


async def test_it_pauses_over_the_limit_and_resumes_at_half_of_it() -> None:
    """Told once each."""
    async with connected(limit=100) as (transport, client, notes):
        client.reading.clear()
        for _ in range(11):
            assert not transport.paused
            transport.write(batch("x" * 10))
        assert transport.paused
        assert transport.waiting() == 110
        client.reading.set()
        await until(lambda: not transport.paused, "it resumes")
        assert notes.told == ["paused", "resumed"]
        await until(lambda: transport.waiting() == 0, "all is sent")
    assert len(client.received) == 11


async def test_a_client_that_is_gone_ends_it() -> None:
    """Without an error; nothing more is kept for it."""
    async with connected() as (transport, client, notes):
        client.gone = True
        transport.write(batch("a"))
        async with asyncio.timeout(5):
            await transport.closed()
        transport.write(batch("b" * 1000))
        assert not transport.paused
    assert notes.told == ["closed"]


async def test_a_client_that_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be sent is let go, and the endpoint is told to end."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)
    async with connected(limit=10) as (transport, client, notes):
        client.reading.clear()
        transport.write(batch("x" * 20))
        transport.close(4409, "too slow")
        await until(lambda: "unclosable" in notes.told, "the endpoint is told")
    assert notes.told == ["paused", "closed", "unclosable"]
