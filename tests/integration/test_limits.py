"""Whoever goes over a limit is told so, is closed if that does not help, and costs the others nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.members import Member, join
from tests.servers import PATIENCE, ChatServer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer(CHAT_RATE_LIMIT="20", CHAT_RATE_BURST="5", CHAT_MAX_CONNECTIONS="4") as server:
        yield server
        assert "Traceback" not in server.log


async def test_too_much_at_once_is_refused_and_can_be_said_later(server: ChatServer) -> None:
    """After `retry_ms`, with the same id; nothing is lost, and nothing said twice."""
    async with join(server, "a") as ada:
        assert (ada.welcome["limits"]["rate"], ada.welcome["limits"]["burst"]) == (20, 5)
        again: list[asyncio.Task[None]] = []
        for number in range(15):
            await ada.send("publish", id=f"{number}", text=f"{number}")
        said: list[str] = []
        while len(said) < 15:
            event = await ada.event("ack", "error")
            if event["type"] == "ack":
                said.append(event["id"])
                continue
            assert event["code"] == "rate_limited"
            assert 0 < event["retry_ms"] < 1000
            again.append(asyncio.create_task(say_later(ada, event["id"], event["retry_ms"] / 1000)))
        await asyncio.gather(*again)
        heard = [event["id"] for event in ada.seen if event["type"] == "message"]
        assert sorted(said, key=int) == [str(number) for number in range(15)]
        assert len(heard) == len(set(heard))


async def say_later(member: Member, text: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await member.send("publish", id=text, text=text)


async def spam(socket: ClientConnection, frame: str) -> None:
    """Send without listening, until the connection ends."""
    while True:
        await socket.send(frame)
        await asyncio.sleep(0)


async def test_whoever_goes_on_is_closed_and_the_others_hear_only_what_was_allowed(server: ChatServer) -> None:
    async with join(server, "b", token="bob") as bob, join(server, "b", token="eve") as eve:
        began = time.monotonic()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(spam(eve.socket, json.dumps({"type": "publish", "text": "spam"})), PATIENCE)
        assert (await eve.closed())[0] == 4429
        await bob.say("quiet at last")
        heard = [event for event in bob.seen if event.get("text") == "spam"]
        assert len(heard) <= 5 + 20 * (time.monotonic() - began) + 1


async def test_every_command_counts(server: ChatServer) -> None:
    async with join(server, "c") as ada:
        for _ in range(10):
            await ada.send("ping")
        assert (await ada.event("error"))["code"] == "rate_limited"


async def test_plain_text_is_held_to_it_as_well(server: ChatServer) -> None:
    async with server.ws("/items/d/ws?token=t") as socket:
        for _ in range(10):
            await socket.send("spam")
        async with asyncio.timeout(PATIENCE):
            while not str(line := await socket.recv()).startswith("Message was not sent: that is too much at once"):
                assert "spam" in str(line) or "credential" in str(line) or "token" in str(line)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(spam(socket, "spam"), PATIENCE)
        assert socket.close_code == 4429


async def test_a_full_worker_lets_nobody_in_and_somebody_when_one_leaves(server: ChatServer) -> None:
    async with AsyncExitStack() as stack:
        for number in range(4):
            await stack.enter_async_context(join(server, f"room-{number}"))
        with pytest.raises(InvalidStatus) as refusal:
            async with server.ws("/items/e/ws?token=t"):
                pass
        assert refusal.value.response.status_code == 503
        assert b"full" in (refusal.value.response.body or b"")
        async with server.http() as http:
            assert (await http.get("/items/e/events?token=t")).status_code == 503
            assert (await http.get("/healthz")).status_code == 200
    async with join(server, "e"):
        pass


@pytest.mark.parametrize(
    "said", [b"", b"GET /items/tea/ws HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\n\r\nGET /"]
)
async def test_whoever_does_not_say_what_it_wants_is_let_go(said: bytes) -> None:
    """A hundred at once, without harm to anybody else."""
    async with ChatServer(CHAT_HANDSHAKE_TIMEOUT="1") as server, join(server, "tea") as ada:
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(100)]
        for _, writer in slow:
            writer.write(said)
        await ada.say("hello")
        async with asyncio.timeout(PATIENCE):
            answers = [await reader.read() for reader, _ in slow]
        assert all(answer.endswith(b"Content-Length: 0\r\n\r\n") and b" 408 " in answer for answer in answers)
        for _, writer in slow:
            writer.close()
        await asyncio.sleep(1.5)
        await ada.say("still here")
