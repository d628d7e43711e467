"""What many tests share: a clean environment, a Redis to use, a Redis to break."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.servers import RedisServer

# A machine that is busy with something else is no failure.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """No setting of the machine that runs the tests reaches them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("CHAT_", "PROMETHEUS_"))]:
            patch.delenv(name)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_redis() -> AsyncIterator[RedisServer]:
    """One Redis for all tests that do it no harm; use names of your own in it, by `prefix`."""
    async with RedisServer("--enable-debug-command", "yes") as server:
        yield server


@pytest_asyncio.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    """A Redis of the test's own, to be killed, paused and restarted."""
    async with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """What the test's keys and channels start with, so that it meets nobody else's."""
    return f"test-{secrets.token_hex(4)}"
