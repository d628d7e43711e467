"""A credential's end is the end of the connection, unless it was refreshed; and what it does not allow is not done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio

from chat.auth import LEEWAY
from tests.issuer import OTHER_SECRET, SECRET, token
from tests.members import Member, join
from tests.servers import PATIENCE, ChatServer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer(CHAT_SECRET_KEY=SECRET) as server:
        yield server
        assert "Traceback" not in server.log


def soon(**claims: Any) -> str:
    """A token that is good for one or two seconds more."""
    return token(exp=int(time.time() - LEEWAY) + 2, **claims)


def enter(server: ChatServer, shown: str) -> AbstractAsyncContextManager[Member]:
    return join(server, "tea", token=shown)


async def test_a_connection_ends_with_its_credential(server: ChatServer) -> None:
    """By 4401, so that the client asks for another."""
    async with enter(server, soon()) as ada:
        assert ada.welcome["expires"].endswith("Z")
        async with asyncio.timeout(PATIENCE):
            assert await ada.closed() == (4401, "the token has expired")


async def test_plain_text_ends_as_well(server: ChatServer) -> None:
    async with server.ws(f"/items/tea/ws?token={soon()}") as socket, asyncio.timeout(PATIENCE):
        await socket.wait_closed()
        assert socket.close_code == 4401


async def test_a_stream_of_events_ends_as_well(server: ChatServer) -> None:
    """A browser then comes back, and is told by 401."""
    async with server.http() as http, asyncio.timeout(PATIENCE):
        shown = soon()
        async with http.stream("GET", f"/items/tea/events?token={shown}") as response:
            assert response.status_code == 200
            assert '"expires"' in "".join([piece async for piece in response.aiter_text()])
        assert (await http.get(f"/items/tea/events?token={shown}")).status_code == 401
        assert (await http.get(f"/items/tea/events?token={token(rooms=['other'])}")).status_code == 403


async def test_a_refreshed_connection_goes_on(server: ChatServer) -> None:
    async with enter(server, soon(name="Ada")) as ada:
        reply = await ada.ask("refresh", token=token(name="Ada"))
        assert reply["type"] == "ack"
        assert reply["expires"] > ada.welcome["expires"]
        await asyncio.sleep(2.5)
        assert (await ada.ask("publish", text="still here"))["type"] == "ack"


@pytest.mark.parametrize(
    "shown",
    [
        token(sub="eve"),
        token(OTHER_SECRET),
        token(exp=1),
        token(rooms=["other"]),
        token(rooms={"tea": ["publish"]}),
        "secret",
        "",
    ],
    ids=["another person's", "another secret", "expired", "another room", "not to be here", "no token", "nothing"],
)
async def test_a_refresh_that_is_no_good_changes_nothing(server: ChatServer, shown: str) -> None:
    async with enter(server, soon()) as ada:
        reply = await ada.ask("refresh", token=shown)
        assert (reply["type"], reply["code"]) == ("error", "unauthenticated")
        assert shown not in reply["message"] or not shown
        assert (await ada.ask("publish", text="still here"))["type"] == "ack"
        async with asyncio.timeout(PATIENCE):
            assert (await ada.closed())[0] == 4401


async def test_who_may_only_listen_listens(server: ChatServer) -> None:
    """And can neither say anything nor seem to be about to."""
    async with enter(server, token(sub="bob", rooms={"*": ["subscribe"]})) as bob, enter(server, token()) as ada:
        reply = await bob.ask("publish", text="hello")
        assert (reply["type"], reply["code"]) == ("error", "forbidden")
        await bob.send("typing")
        await ada.say("hello")
        assert (await bob.event("message"))["text"] == "hello"
        assert (await bob.ask("history"))["type"] == "history"
        assert not [event for event in ada.seen if event["type"] == "typing"]


async def test_who_may_only_listen_is_told_so_in_plain_text(server: ChatServer) -> None:
    async with server.ws(f"/items/quiet/ws?token={token(rooms={'*': ['subscribe']})}") as bob:
        await bob.send("hello")
        assert (await bob.recv()) == "Message was not sent: this credential does not allow to publish here"


async def test_a_refresh_changes_what_is_allowed(server: ChatServer) -> None:
    async with enter(server, token(rooms={"*": ["subscribe"]})) as ada:
        assert (await ada.ask("publish", text="hello"))["type"] == "error"
        await ada.ask("refresh", token=token())
        assert (await ada.ask("publish", text="hello"))["type"] == "ack"
