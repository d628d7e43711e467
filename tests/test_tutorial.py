"""A client of FastAPI's WebSockets tutorial is served by the app as it was by the tutorial's own.

With the test client as the tutorial's readers use it: no lifespan, and an event loop of its own for every socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from chat.main import app


@pytest.fixture
def client() -> TestClient:
    return TestClient(app)


@pytest.fixture(params=["cookie", "token"])
def credential(request: pytest.FixtureRequest, client: TestClient) -> str:
    """A query to connect with; the credential in it, or in the cookie, is `mine`."""
    if request.param == "cookie":
        client.cookies.set("session", "mine")
    return "" if request.param == "cookie" else "token=mine"


@contextmanager
def connected(client: TestClient, path: str) -> Iterator[WebSocketTestSession]:
    """A socket whose endpoint ends, when the client has gone, by the exception by which the tutorial's ends."""
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(path) as socket:
        yield socket


def lines(socket: WebSocketTestSession, said: str, count: int) -> list[str]:
    socket.send_text(said)
    return [socket.receive_text() for _ in range(count)]


def test_the_page_is_html(client: TestClient) -> None:
    """The tutorial's tests look for the doctype as the tutorial writes it."""
    page = client.get("/")
    assert page.status_code == 200
    assert page.content.startswith(b"<!DOCTYPE html>")


def test_the_first_example_echoes(client: TestClient) -> None:
    """And has no end of its own."""
    with connected(client, "/ws") as socket:
        assert lines(socket, "one", 1) == ["Message text was: one"]
        assert lines(socket, "two", 1) == ["Message text was: two"]


def test_a_sender_sees_its_credential_and_its_message(client: TestClient, credential: str) -> None:
    """Two lines for each message, in order."""
    with connected(client, f"/items/foo/ws?{credential}") as socket:
        for said in ("one", "two"):
            assert lines(socket, said, 2) == [
                "Session cookie or query token value is: mine",
                f"Message text was: {said}, for item ID: foo",
            ]


def test_a_sender_with_a_query_parameter_sees_it_in_between(client: TestClient, credential: str) -> None:
    """Three lines then."""
    with connected(client, f"/items/2/ws?q=3&{credential}") as socket:
        for said in ("one", "two"):
            assert lines(socket, said, 3) == [
                "Session cookie or query token value is: mine",
                "Query parameter q is: 3",
                f"Message text was: {said}, for item ID: 2",
            ]


def test_the_cookie_comes_before_the_token(client: TestClient) -> None:
    """As in the tutorial's dependency."""
    client.cookies.set("session", "from the cookie")
    with connected(client, "/items/foo/ws?token=from-the-query") as socket:
        assert lines(socket, "one", 1) == ["Session cookie or query token value is: from the cookie"]


@pytest.mark.parametrize("query", ["", "?token=", "?q=3", "?q=three&token=mine"])
def test_without_a_credential_or_with_a_wrong_number_nobody_gets_in(client: TestClient, query: str) -> None:
    """Refused before the socket is accepted, as a violation of policy."""
    with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect(f"/items/foo/ws{query}"):
        pytest.fail("it was let in")
    assert refusal.value.code == 1008


def test_nothing_is_logged_as_a_failure(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves is no error, on whichever server."""
    with connected(client, "/items/foo/ws?token=mine") as socket:
        lines(socket, "one", 2)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
