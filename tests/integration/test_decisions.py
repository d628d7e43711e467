"""The service asks a back end who may do what, whichever way somebody comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.backend import BackEnd, back_end
from tests.members import join
from tests.servers import PATIENCE, ChatServer

SECRET = "between-the-two-of-us-and-nobody-else"


@pytest.fixture
async def asked() -> AsyncIterator[BackEnd]:
    """Everybody may listen, but not in the cellar; only Ada may speak."""
    async with back_end() as asked:

        def may(question: Any) -> bool:
            if question["action"] == "publish":
                return bool(question["user"]["name"] == "Ada")
            return bool(question["room"] != "cellar")

        asked.answer = may
        yield asked


@pytest.fixture
async def server(asked: BackEnd) -> AsyncIterator[ChatServer]:
    settings = {"CHAT_AUTHORIZE_URL": asked.url, "CHAT_AUTHORIZE_SECRET": SECRET, "CHAT_AUTHORIZE_TIMEOUT": "1"}
    async with ChatServer(**settings) as server:  # type: ignore[arg-type]
        yield server
        assert "Traceback" not in server.log
        assert SECRET not in server.log


async def test_who_may_not_enter_does_not(server: ChatServer, asked: BackEnd) -> None:
    """A program is told by 403, a browser by 4403; over HTTP and as a stream as well."""
    with pytest.raises(InvalidStatus) as refusal:
        async with server.ws("/items/cellar/ws?token=t", subprotocols=["chat.v1"]):
            pass
    assert refusal.value.response.status_code == 403
    options = {"subprotocols": ["chat.v1"], "origin": server.url("")}
    async with server.ws("/items/cellar/ws?token=t", **options) as socket:
        await asyncio.wait_for(socket.wait_closed(), PATIENCE)
        assert socket.close_code == 4403
    async with server.http() as http:
        for what in ("messages", "members", "events"):
            assert (await http.get(f"/items/cellar/{what}?token=t")).status_code == 403
    assert {question["action"] for question in asked.asked} == {"subscribe"}
    assert {headers["authorization"] for headers in asked.headers} == {f"Bearer {SECRET}"}


async def test_who_may_not_speak_is_told(server: ChatServer, asked: BackEnd) -> None:
    """Each time; who may is asked about once in a while, not for each message."""
    async with (
        join(server, "tea", token="a", query="name=Ada") as ada,
        join(server, "tea", token="b", query="name=Bob") as bob,
        server.http() as http,
    ):
        for _ in range(3):
            assert (await bob.ask("publish", text="hello"))["code"] == "forbidden"
            await ada.say("hello")
        assert (await http.post("/items/tea/messages?token=a&name=Ada", json={"text": "x"})).status_code == 201
        assert (await http.post("/items/tea/messages?token=b&name=Bob", json={"text": "x"})).status_code == 403
    adas = [q for q in asked.asked if q["action"] == "publish" and q["user"]["name"] == "Ada"]
    assert len(adas) == 1


async def test_who_is_in_stays_while_it_cannot_be_asked(server: ChatServer, asked: BackEnd) -> None:
    """Nobody comes in, nobody says anything new, and all of it can be tried again."""
    async with (
        join(server, "tea", token="a", query="name=Ada") as ada,
        server.ws("/items/tea/ws?token=a2&name=Ada") as plain,
        server.http() as http,
    ):
        asked.delay = 2
        error = await ada.ask("publish", text="hello")
        assert (error["code"], error["retry_ms"]) == ("unavailable", 1000)
        await plain.send("hello")
        while not str(line := await asyncio.wait_for(plain.recv(), PATIENCE)).startswith("Message was not sent"):
            pass
        assert "who may do what" in str(line)
        with pytest.raises(InvalidStatus) as refusal:
            async with server.ws("/items/tea/ws?token=b", subprotocols=["chat.v1"]):
                pass
        assert refusal.value.response.status_code == 503
        async with server.ws("/items/tea/ws?token=c", subprotocols=["chat.v1"], origin=server.url("")) as socket:
            await asyncio.wait_for(socket.wait_closed(), PATIENCE)
            assert socket.close_code == 4503
        answer = await http.get("/items/tea/messages?token=d")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        asked.delay = 0
        await ada.say("back")
        metrics = (await http.get("/metrics")).text
    assert 'chat_decisions_total{outcome="failed"}' in metrics
    assert server.log.count("who may do what cannot be asked") == 1
