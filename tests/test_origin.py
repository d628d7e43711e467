"""From where a session cookie counts, over HTTP; for WebSockets see integration/test_refusals.py."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from chat import Settings, create_app

ALLOWED = "https://front.example, http://localhost:3000"


@pytest.fixture
def client() -> TestClient:
    client = TestClient(create_app(Settings.load(allowed_origins=ALLOWED)), base_url="https://chat.example:8443")
    client.cookies.set("session", "secret")
    return client


@pytest.mark.parametrize(
    "origin",
    [None, "https://chat.example:8443", "https://CHAT.example:8443", "https://front.example", "http://localhost:3000"],
)
def test_a_cookie_counts_from_here(client: TestClient, origin: str | None) -> None:
    """Our own host, an origin on the list, and whoever is no browser."""
    headers = {} if origin is None else {"Origin": origin}
    with client:
        assert client.get("/items/foo/members", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "https://chat.example",
        "https://chat.example:8443.elsewhere.example",
        "https://elsewhere.example/https://chat.example:8443",
        "http://front.example",
        "null",
        "",
        "file://",
        "chat.example:8443",
    ],
)
def test_a_cookie_does_not_count_from_there(client: TestClient, origin: str) -> None:
    """Anything that is only alike included."""
    with client:
        answer = client.post("/items/foo/messages", headers={"Origin": origin}, json={"text": "hello"})
        assert answer.status_code == 403
        assert answer.json()["code"] == 4403
        assert "secret" not in answer.text


def test_a_token_counts_beside_a_cookie_that_does_not(client: TestClient) -> None:
    """No other site knows it."""
    headers = {"Origin": "https://elsewhere.example"}
    with client:
        assert client.get("/items/foo/members?token=secret", headers=headers).status_code == 200
