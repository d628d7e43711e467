"""`chat serve` warns of settings that do not suit the place where it runs."""

from __future__ import annotations

from typing import Any

import pytest

from chat.cautions import cautions
from chat.settings import Settings
from tests.servers import ChatServer

SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"host": "0.0.0.0"}, "open mode"),
        ({"host": "192.0.2.1"}, "open mode"),
        ({"host": "::"}, "open mode"),
        ({"jwks_url": "https://id.example/keys"}, "CHAT_JWKS_AUDIENCE"),
        ({"allowed_origins": "https://a.example,http://b.example"}, "http://b.example"),
        ({"host": "0.0.0.0", "secret_key": SECRET, "trusted_proxies": "*"}, "CHAT_TRUSTED_PROXIES"),
        ({"host": "0.0.0.0", "secret_key": SECRET, "trusted_proxies": "10.0.0.1, 0.0.0.0/0"}, "CHAT_TRUSTED_PROXIES"),
        ({"host": "0.0.0.0", "secret_key": SECRET, "rate_limit": 0}, "CHAT_RATE_LIMIT is 0"),
        (
            {"host": "0.0.0.0", "secret_key": SECRET, "max_connections_per_user": 0, "max_connections_per_address": 0},
            "CHAT_MAX_CONNECTIONS_PER_USER, CHAT_MAX_CONNECTIONS_PER_ADDRESS are 0",
        ),
        ({"secret_key": "changeme" * 4}, "CHAT_SECRET_KEY"),
        ({"secret_key": f"{SECRET},{'x' * 32}"}, "CHAT_SECRET_KEY"),
        ({"authorize_url": "http://backend.example/may"}, "CHAT_AUTHORIZE_URL"),
    ],
)
def test_what_is_risky_is_said_in_one_sentence(settings: dict[str, Any], word: str) -> None:
    (caution,) = cautions(Settings.load(**settings))
    assert word in caution
    assert SECRET not in caution
    assert "changeme" not in caution


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "0.0.0.0", "secret_key": SECRET},
        {"host": "0.0.0.0", "jwks_url": "https://id.example/keys", "jwks_audience": "chat"},
        {"allowed_origins": "https://a.example, http://localhost:3000"},
        {"trusted_proxies": "*"},
        {"host": "0.0.0.0", "secret_key": SECRET, "trusted_proxies": "10.0.0.0/8, ::1"},
        {"rate_limit": 0},
        {"authorize_url": "https://backend.example/may"},
        {"authorize_url": "http://localhost:9000/may"},
    ],
)
def test_what_is_safe_is_not_warned_of(settings: dict[str, Any]) -> None:
    assert cautions(Settings.load(**settings)) == []


async def test_a_warning_is_no_refusal() -> None:
    """It is told once, however many workers there are."""
    async with ChatServer(CHAT_ALLOWED_ORIGINS="http://b.example") as server:
        assert server.log.count("chat: careful: ") == 1


@pytest.mark.parametrize(("proxies", "secure"), [("127.0.0.1", True), ("192.0.2.1", False)])
async def test_only_a_trusted_proxy_can_say_that_there_is_tls(proxies: str, secure: bool) -> None:
    """Then the cookie is Secure."""
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_GUESTS": "true", "CHAT_TRUSTED_PROXIES": proxies}
    async with ChatServer(**settings) as server, server.http() as http:  # type: ignore[arg-type]
        headers = {"X-Forwarded-Proto": "https"}
        answer = await http.post("/session", json={"name": "Ada"}, headers=headers)
        assert ("secure" in answer.headers["set-cookie"].lower()) is secure


async def test_a_cookie_is_secure_if_the_page_came_by_tls() -> None:
    """The browser says so by its origin, even if the proxy is not known; that it should be is said once."""
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_GUESTS": "true", "CHAT_TRUSTED_PROXIES": "192.0.2.1"}
    async with ChatServer(**settings) as server, server.http() as http:  # type: ignore[arg-type]
        host = {"Host": "chat.example"}
        for origin, secure in (("https://chat.example", True), ("http://chat.example", False)):
            answer = await http.post("/session", json={"name": "Ada"}, headers={**host, "Origin": origin})
            assert answer.status_code == 201
            assert ("secure" in answer.headers["set-cookie"].lower()) is secure
        answer = await http.post("/session", json={"name": "Ada"}, headers={**host, "Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "CHAT_TRUSTED_PROXIES" not in server.log
        for _ in range(2):
            await http.post("/session", json={"name": "Ada"}, headers={"X-Forwarded-Proto": "https"})
        assert server.log.count("CHAT_TRUSTED_PROXIES") == 1
