"""Brokers of every kind, for tests that hold for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from chat.broker import Broker, from_settings
from chat.events import Event
from chat.settings import Settings
from tests.servers import RedisServer

Open = Callable[..., Awaitable[Broker]]


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    await broker.connect()
    try:
        yield broker
    finally:
        await broker.disconnect()


@asynccontextmanager
async def subscribed(broker: Broker, room: str) -> AsyncIterator[Callable[[], Awaitable[Event]]]:
    """Hear a room while the block lasts: what is given waits for the next event and returns it."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    async with broker.subscribe(room, events.put_nowait):
        yield events.get


@pytest.fixture(params=["memory", "redis"])
async def open_broker(request: pytest.FixtureRequest, shared_redis: RedisServer, prefix: str) -> AsyncIterator[Open]:
    """A function that returns a connected broker with the given settings."""
    url = "memory://" if request.param == "memory" else shared_redis.url
    async with AsyncExitStack() as stack:

        async def open_broker(**settings: Any) -> Broker:
            broker = from_settings(Settings.load(broker_url=url, broker_prefix=prefix, **settings))
            return await stack.enter_async_context(running(broker))

        yield open_broker


@pytest.fixture
async def broker(open_broker: Open) -> Broker:
    """A connected broker with the default settings."""
    return await open_broker()
