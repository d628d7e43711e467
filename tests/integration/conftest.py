"""Servers that many tests share, of every kind in which the service is run."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.servers import ChatServer, RedisServer

KINDS = ["serve-memory", "serve-redis", "uvicorn-memory", "uvicorn-redis"]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=KINDS)
async def shared_server(request: pytest.FixtureRequest, shared_redis: RedisServer) -> AsyncIterator[ChatServer]:
    """The service with one worker, started once for all tests that do it no harm."""
    command, broker = request.param.split("-")
    url = "memory://" if broker == "memory" else shared_redis.url
    async with ChatServer(
        plain=command == "uvicorn", CHAT_BROKER_URL=url, CHAT_BROKER_PREFIX=request.param, CHAT_PRESENCE_GRACE="0.2"
    ) as server:
        yield server


@pytest.fixture
async def server(shared_server: ChatServer) -> AsyncIterator[ChatServer]:
    """The shared server; whatever a test does to it, it logs no traceback, no error and no credential."""
    before = len(shared_server.log)
    yield shared_server
    # uvicorn's own protocol says so of every endpoint that refuses with a status.
    said = shared_server.log[before:].replace("ERROR:    ASGI callable returned without completing handshake.", "")
    assert "Traceback" not in said, said
    assert "ERROR" not in said, said
    assert "secret" not in said, said


@pytest.fixture
def room() -> str:
    """A room that nobody has used before."""
    return f"room-{secrets.token_hex(4)}"
