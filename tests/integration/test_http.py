"""A room over HTTP, and what operators ask, on every kind of server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.members import join
from tests.servers import ChatServer

ADA = {"token": "secret-of-ada", "name": "Ada"}


@pytest.fixture
async def http(server: ChatServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


async def say(http: httpx.AsyncClient, room: str, key: str | None = None, **content: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post(f"/items/{room}/messages", params=ADA, headers=headers, json=content)


# --- publish ---


async def test_a_message_is_heard_by_members(server: ChatServer, http: httpx.AsyncClient, room: str) -> None:
    """201, with where it stands; the same person as over a WebSocket."""
    async with join(server, room, query="name=Ada") as ada:
        answer = await say(http, room, text="hello")
        heard = await ada.event("message")
        assert answer.status_code == 201
        assert answer.json() == {"id": heard["id"], "epoch": ada.welcome["epoch"], "offset": 1}
        assert (heard["text"], heard["user"]) == ("hello", {"id": ada.id, "name": "Ada"})


@pytest.mark.parametrize("content", [{"text": "é🚀"}, {"data": {"a": [None]}}, {"data": None}, {"binary": "AP8="}])
async def test_anything_can_be_said(http: httpx.AsyncClient, room: str, content: dict[str, Any]) -> None:
    """Text, JSON, base64."""
    assert (await say(http, room, **content)).status_code == 201
    (message,) = (await http.get(f"/items/{room}/messages", params=ADA)).json()["messages"]
    assert {name: message[name] for name in content} == content


async def test_the_same_key_again_is_answered_as_before(http: httpx.AsyncClient, room: str) -> None:
    """By 200, the first answer, and no second message."""
    first, again = await say(http, room, "k", text="hello"), await say(http, room, "k", text="hello")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len((await http.get(f"/items/{room}/messages", params=ADA)).json()["messages"]) == 1


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"text": "a", "data": 1},
        {"text": 5},
        {"text": "x" * 4001},
        {"binary": "%"},
        {"data": [[]]},
    ],
)
async def test_what_cannot_be_said_is_refused_with_a_sentence(
    http: httpx.AsyncClient, room: str, content: dict[str, Any]
) -> None:
    """422, code and message."""
    if content.get("data") == [[]]:
        for _ in range(200):
            content["data"] = [content["data"]]
    answer = await say(http, room, **content)
    assert answer.status_code == 422
    assert answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"text":', b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(http: httpx.AsyncClient, room: str, body: bytes) -> None:
    """422."""
    assert (await http.post(f"/items/{room}/messages", params=ADA, content=body)).status_code == 422


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient, room: str) -> None:
    """413, as soon as it is over it."""
    answer = await http.post(f"/items/{room}/messages", params=ADA, content=b" " * 65537)
    assert answer.status_code == 413


# --- read ---


async def test_history_is_read_in_pages(http: httpx.AsyncClient, room: str) -> None:
    """As by the command `history`, with where the log stands."""
    for number in range(5):
        await say(http, room, text=str(number))

    async def page(**query: int) -> tuple[list[int], bool, int]:
        found = (await http.get(f"/items/{room}/messages", params={**ADA, **query})).json()
        return [message["offset"] for message in found["messages"]], found["more"], found["offset"]

    assert await page() == ([1, 2, 3, 4, 5], False, 5)
    assert await page(limit=2) == ([4, 5], True, 5)
    assert await page(before=4, limit=2) == ([2, 3], True, 5)
    assert await page(after=1, limit=3) == ([2, 3, 4], True, 5)
    assert await page(after=5) == ([], False, 5)


async def test_members_are_people(server: ChatServer, http: httpx.AsyncClient, room: str) -> None:
    """Who is connected, not who asks."""
    async with join(server, room, query="name=Grace", token="secret-2") as grace:
        await grace.event("presence")
        answer = await http.get(f"/items/{room}/members", params=ADA)
    assert answer.json() == {"members": [{"id": grace.id, "name": "Grace"}], "count": 1}


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 201}, {"before": -1}, {"before": 1, "after": 1}, {"after": 10**15}]
)
async def test_a_wrong_page_is_refused(http: httpx.AsyncClient, room: str, query: dict[str, int]) -> None:
    """422."""
    assert (await http.get(f"/items/{room}/messages", params={**ADA, **query})).status_code == 422


# --- who may ---


@pytest.mark.parametrize(("method", "path"), [("GET", "messages"), ("POST", "messages"), ("GET", "members")])
async def test_without_a_credential_there_is_nothing_to_see(
    http: httpx.AsyncClient, room: str, method: str, path: str
) -> None:
    """401, which says how to show one; a name that is not allowed is 422."""
    answer = await http.request(method, f"/items/{room}/{path}", json={"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (401, 4401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    wrong = await http.request(method, f"/items/a%20b/{path}", params=ADA, json={"text": "a"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, 4400)


# --- operations ---


async def test_it_is_alive_and_ready(http: httpx.AsyncClient) -> None:
    """And says which worker answers."""
    assert (await http.get("/healthz")).status_code == 200
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_it_counts(server: ChatServer, http: httpx.AsyncClient, room: str) -> None:
    """In Prometheus' text format."""
    async with join(server, room) as ada:
        await ada.say("hello")
        metrics = (await http.get("/metrics")).text
    counted = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("chat_"))
    assert float(counted["chat_connections"]) >= 1
    assert float(counted["chat_published_total"]) >= 1


async def test_the_page_is_served(http: httpx.AsyncClient) -> None:
    """With what it is made of."""
    page = await http.get("/")
    assert page.status_code == 200
    assert page.content.startswith(b"<!DOCTYPE html>")
    assert (await http.get("/static/js/main.js")).status_code == 200


async def test_the_api_is_described(http: httpx.AsyncClient) -> None:
    """For programs and for people."""
    described = (await http.get("/openapi.json")).json()["paths"]
    assert {"/items/{item_id}/messages", "/items/{item_id}/members"} <= {
        path.replace(":path", "") for path in described
    }
    assert (await http.get("/docs")).status_code == 200
