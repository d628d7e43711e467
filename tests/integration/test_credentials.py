"""Who is let into a room in signed mode: every kind of credential, for every kind of client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.issuer import OTHER_SECRET, SECRET, token
from tests.members import Member
from tests.servers import ChatServer, RedisServer

Answer = int | str  # an HTTP status, a close code, or "in"

OWN, FOREIGN = "own", "https://elsewhere.example"
KINDS = {
    "plain": (None, None),
    "plain-origin": (None, OWN),
    "plain-foreign": (None, FOREIGN),
    "json": ("chat.v1", None),
    "json-origin": ("chat.v1", OWN),
    "json-foreign": ("chat.v1", FOREIGN),
}
GOOD = token()
CREDENTIALS = {
    "good": GOOD,
    "expired": token(exp=int(time.time()) - 60),
    "of another": token(OTHER_SECRET),
    "unsigned": token(None, algorithm="none"),
    "no token": "secret",
    "other room": token(rooms=["other"]),
    "reader": token(rooms={"tea": ["subscribe"]}),
    "author only": token(rooms={"tea": ["publish"]}),
}
REFUSED = (401, 403, 403, 401, 4401, 4401)
FORBIDDEN = (403, 403, 403, 403, 4403, 4403)
IN = ("in",) * 6
EXPECTED = {
    "good": IN,
    "expired": REFUSED,
    "of another": REFUSED,
    "unsigned": REFUSED,
    "no token": REFUSED,
    "other room": FORBIDDEN,
    "reader": IN,
    "author only": FORBIDDEN,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["serve", "uvicorn"])
async def server(request: pytest.FixtureRequest, shared_redis: RedisServer) -> AsyncIterator[ChatServer]:
    async with ChatServer(
        plain=request.param == "uvicorn",
        CHAT_SECRET_KEY=SECRET,
        CHAT_BROKER_URL=shared_redis.url,
        CHAT_BROKER_PREFIX=f"credentials-{request.param}",
    ) as server:
        yield server
        assert "Traceback" not in server.log
        assert "open mode" not in server.log
        assert not any(shown in server.log for shown in CREDENTIALS.values() if len(shown) > 20)


async def answer(server: ChatServer, kind: str, *, query: str = "", way: str = "query", shown: str = "") -> Answer:
    """Return what a client is told that shows a credential in some way; "in" if it was let in."""
    protocol, whence = KINDS[kind]
    origin = None if whence is None else Origin(server.url("") if whence == OWN else whence)
    offered: list[Any] = [protocol] if protocol else []
    headers = {}
    if way == "query":
        query = f"token={shown}"
    elif way == "cookie":
        headers["Cookie"] = f"session={shown}"
    elif way == "header":
        headers["Authorization"] = f"Bearer {shown}"
    elif way == "subprotocol":
        offered.append(f"bearer.{shown}")
    path = f"/items/tea/ws?{query}"
    try:
        async with server.ws(path, subprotocols=offered or None, origin=origin, additional_headers=headers) as socket:
            if protocol is None:
                return "in"
            assert socket.subprotocol == protocol
            member = Member(socket)
            try:
                assert (await member.next())["type"] == "welcome"
            except ConnectionClosed:
                code, reason = await member.closed()
                assert reason
                return code
            return "in"
    except InvalidStatus as refusal:
        return refusal.response.status_code


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("way", ["query", "header"])
async def test_a_token_is_good_or_not_wherever_it_comes_from(server: ChatServer, way: str, credential: str) -> None:
    """For all kinds of clients: plain text, with our origin, with another; chat.v1 and the same."""
    answers = [await answer(server, kind, way=way, shown=CREDENTIALS[credential]) for kind in KINDS]
    assert answers == list(EXPECTED[credential])


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_a_cookie_is_a_token_that_counts_here_only(server: ChatServer, credential: str) -> None:
    answers = [await answer(server, kind, way="cookie", shown=CREDENTIALS[credential]) for kind in KINDS]
    expected = list(EXPECTED[credential])
    expected[2], expected[5] = 403, 4403
    assert answers == expected


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_a_token_may_stand_among_the_subprotocols(server: ChatServer, credential: str) -> None:
    """Where a browser can put it, and no log does."""
    kinds = ["json", "json-origin", "json-foreign"]
    answers = [await answer(server, kind, way="subprotocol", shown=CREDENTIALS[credential]) for kind in kinds]
    assert answers == list(EXPECTED[credential][3:])


async def test_without_any_credential_nobody_gets_in(server: ChatServer) -> None:
    """Plain text as in the tutorial."""
    assert [await answer(server, kind, way="none") for kind in KINDS] == [403, 403, 403, 401, 4401, 4401]
