"""A room as server-sent events, on every kind of server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.members import join
from tests.servers import PATIENCE, ChatServer


class Listener:
    """Reads the stream event by event, as the HTML standard has it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.lines = response.aiter_lines()
        self.last_id = ""

    async def event(self, *types: str) -> dict[str, Any]:
        """Return the data of the next event of one of these types."""
        name, data = "", ""
        async with asyncio.timeout(PATIENCE):
            async for line in self.lines:
                field, _, value = line.partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif not line and name in types:
                    event: dict[str, Any] = json.loads(data)
                    return event
        raise AssertionError(f"the stream ended before any of {types}")


@asynccontextmanager
async def listen(server: ChatServer, room: str, *, last: str = "", **query: str) -> AsyncIterator[Listener]:
    headers = {"Last-Event-ID": last} if last else {}
    params = {"token": "secret-of-eve", "name": "Eve", **query}
    async with (
        server.http() as client,
        client.stream("GET", f"/items/{room}/events", params=params, headers=headers) as response,
    ):
        yield Listener(response)


async def test_who_listens_hears_what_members_say(server: ChatServer, room: str) -> None:
    """The same events as in chat.v1, and the listener is somebody who is here."""
    async with join(server, room) as ada, listen(server, room) as eve:
        welcome = await eve.event("welcome")
        assert (welcome["room"], welcome["user"]["name"]) == (room, "Eve")
        while "Eve" not in {user["name"] for user in (await ada.event("presence"))["joined"]}:
            pass
        await ada.say("hello")
        assert (await eve.event("message"))["text"] == "hello"


async def test_a_browser_goes_on_where_it_was(server: ChatServer, room: str) -> None:
    """By `Last-Event-ID`, which is the position of the last message."""
    async with join(server, room) as ada:
        async with listen(server, room) as eve:
            await eve.event("welcome")
            await ada.say("heard")
            await eve.event("message")
        await ada.say("missed")
        async with listen(server, room, last=eve.last_id) as eve:
            assert (await eve.event("welcome"))["recovered"]
            assert (await eve.event("message"))["text"] == "missed"


async def test_what_cannot_be_had_is_said(server: ChatServer, room: str) -> None:
    """An id of another epoch is answered by a gap, and the gap's id is one to go on from."""
    async with join(server, room) as ada:
        await ada.say("hello")
        async with listen(server, room, last="other:7") as eve:
            assert not (await eve.event("welcome"))["recovered"]
            assert (await eve.event("gap"))["reason"] == "epoch"
            assert eve.last_id == f"{ada.welcome['epoch']}:0"
            assert (await eve.event("message"))["text"] == "hello"


async def test_who_stops_listening_is_gone(server: ChatServer, room: str) -> None:
    """After the grace time, as with any member."""
    async with join(server, room) as ada:
        async with listen(server, room) as eve:
            await eve.event("welcome")
            await ada.event("presence")
        gone = await ada.event("presence")
        while not gone["left"]:
            gone = await ada.event("presence")
        assert [user["name"] for user in gone["left"]] == ["Eve"]


@pytest.mark.parametrize(
    ("query", "status"), [({"token": ""}, 401), ({"since": "nonsense"}, 422), ({"history": "-1"}, 422)]
)
async def test_who_may_not_listen_is_told_by_the_status(
    server: ChatServer, room: str, query: dict[str, str], status: int
) -> None:
    """And by a sentence."""
    async with listen(server, room, **query) as refused:
        assert refused.response.status_code == status
        assert await refused.response.aread()


async def test_a_silent_stream_shows_that_it_lives() -> None:
    """A comment, for the proxies in between."""
    async with ChatServer(CHAT_HEARTBEAT="0.2") as server, listen(server, "room") as eve:
        async with asyncio.timeout(PATIENCE):
            while not (await anext(eve.lines)).startswith(":"):
                pass


async def test_a_stream_ends_when_the_server_stops() -> None:
    """Told before, like any member; the server does not wait for its time-out."""
    async with ChatServer(CHAT_DRAIN_TIMEOUT="20") as server, listen(server, "room") as eve:
        await eve.event("welcome")
        stopping = asyncio.create_task(server.terminate(within=10))
        assert (await eve.event("draining"))["retry_ms"] >= 0
        assert await stopping == 0
