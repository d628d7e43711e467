"""Servers that strangers do their worst to: afterwards everybody else is still served, and the log is quiet."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.members import join
from tests.servers import ChatServer

NO_LIMITS = {"CHAT_MAX_CONNECTIONS_PER_ADDRESS": "0", "CHAT_MAX_CONNECTIONS_PER_USER": "0", "CHAT_MAX_TEXT_LENGTH": "0"}


@pytest.fixture(scope="session", params=["serve", "uvicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the service is run."""
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def attacked(kind: str) -> AsyncIterator[ChatServer]:
    """One server of each kind for all tests that leave nothing behind."""
    async with ChatServer(plain=kind == "uvicorn", **NO_LIMITS) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture
def room() -> str:
    """A room that nobody has used before."""
    return f"room-{secrets.token_hex(4)}"


@pytest.fixture
async def server(attacked: ChatServer, room: str) -> AsyncIterator[ChatServer]:
    """A server to be attacked, in `room`, where somebody else goes on to chat; it logs no error and no traceback."""
    before = len(attacked.log)
    async with join(attacked, room, token="bystander", query="history=0") as bystander:
        yield attacked
        await bystander.say("on we go")
        numbers = [event["offset"] for event in bystander.seen if event["type"] == "message"]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    said = attacked.log[before:].replace("ERROR:    ASGI callable returned without completing handshake.", "")
    assert "Traceback" not in said, said
    assert "ERROR" not in said, said
