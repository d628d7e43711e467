"""What the tests of faults share: servers with no limits in the way, and Redis that keeps what it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ChatServer, RedisServer

# What protects a service from its clients would only get in the way of what is tested here.
NO_LIMITS = {
    "CHAT_RATE_LIMIT": "0",
    "CHAT_MAX_CONNECTIONS_PER_USER": "0",
    "CHAT_MAX_CONNECTIONS_PER_ADDRESS": "0",
}


def chat_server(redis: RedisServer | str, *arguments: str, **options: Any) -> ChatServer:
    """Return a server, not started, that uses a Redis, or the broker at a URL."""
    url = redis if isinstance(redis, str) else redis.url
    return ChatServer(*arguments, **{**NO_LIMITS, "CHAT_BROKER_URL": url, **options})


@pytest.fixture
async def kept_redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of the test's own that has everything again after a kill."""
    async with RedisServer("--appendfsync", "always", data=tmp_path) as server:
        yield server
