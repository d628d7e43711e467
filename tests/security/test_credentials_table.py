"""Who is let in: every credential, every way to carry it, every origin, every kind of client, in one table.

A number above 4000 is the code by which a WebSocket is closed, another one an HTTP status; `in` is in. A browser that
speaks chat.v1 cannot see a status and so gets the code; a program gets the status; a tutorial client gets the
tutorial's refusal, 403, where it is about the credential and comes from a browser, or there is none.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.issuer import OTHER_SECRET, SECRET, forged, token
from tests.members import Member
from tests.servers import ChatServer

ALLOWED, ELSEWHERE = "https://allowed.example", "https://elsewhere.example"
ADMIN = token(sub="root", admin=True)
REVOKED = token(jti="revoked")
SOON = int(time.time()) + 3600

CREDENTIALS = {
    "none": None,
    "empty": "",
    "good": token(),
    "other room": token(rooms=["coffee"]),
    "reader": token(rooms={"tea": ["subscribe"]}),
    "author": token(rooms={"tea": ["publish"]}),
    "expired": token(exp=int(time.time()) - 60),
    "not yet": token(nbf=SOON),
    "revoked": REVOKED,
    "wrong key": token(OTHER_SECRET),
    "alg none": token(None, algorithm="none"),
    "alg None": forged({"alg": "None"}, {"sub": "ada", "exp": SOON}),
    "HS512 says": forged({"alg": "HS512"}, {"sub": "ada", "exp": SOON}, SECRET.encode()),
    "RS256 says": forged({"alg": "RS256", "kid": "1"}, {"sub": "ada", "exp": SOON}, SECRET.encode()),
    "no end": token(exp=None),
    "nobody": token(sub=None),
    "too long": token(padding="x" * 7000),
    "no token": "secret-of-nobody",
}

# Columns: chat.v1 from our own page, an allowed origin, a foreign one, and the origin `null`; a program in chat.v1;
# plain text of a program, of our own page, and of a foreign one; publishing over HTTP by a program, and from a foreign
# page; reading by server-sent events, and from a foreign page. (Plain uvicorn cannot read a handshake with so long a
# line, and forgets the connection; see test_rfc6455.py.)
SIGNED = """
credential  carrier       page  allow foreign null  prog  text  ptext ftext | post  fpost sse   fsse
none        -             4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
empty       query         4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
empty       cookie        4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
empty       header        4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
good        query         in    in    in      in    in    in    in    in    | 201   201   200   200
good        header        in    in    in      in    in    in    in    in    | 201   201   200   200
good        subprotocol   in    in    in      in    in    -     -     -     | -     -     -     -
good        cookie        in    in    4403    4403  in    in    in    403   | 201   403   200   403
other room  query         4403  4403  4403    4403  403   403   403   403   | 403   403   403   403
other room  cookie        4403  4403  4403    4403  403   403   403   403   | 403   403   403   403
reader      query         in    in    in      in    in    in    in    in    | 403   403   200   200
author      query         4403  4403  4403    4403  403   403   403   403   | 201   201   403   403
expired     query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
expired     header        4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
expired     subprotocol   4401  4401  4401    4401  401   -     -     -     | -     -     -     -
expired     cookie        4401  4401  4403    4403  401   401   403   403   | 401   403   401   403
not yet     query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
revoked     query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
revoked     cookie        4401  4401  4403    4403  401   401   403   403   | 401   403   401   403
wrong key   query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
wrong key   subprotocol   4401  4401  4401    4401  401   -     -     -     | -     -     -     -
alg none    query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
alg None    query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
HS512 says  query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
RS256 says  query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
no end      query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
nobody      query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
too long    query         -     -     -       -     -     -     -     -     | 401   401   401   401
too long    header        -     -     -       -     -     -     -     -     | 401   401   401   401
no token    query         4401  4401  4401    4401  401   401   403   403   | 401   401   401   401
no token    cookie        4401  4401  4403    4403  401   401   403   403   | 401   403   401   403
"""

OPEN = """
credential  carrier       page  allow foreign null  prog  text  ptext ftext | post  fpost sse   fsse
none        -             4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
empty       query         4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
empty       cookie        4401  4401  4401    4401  401   403   403   403   | 401   401   401   401
no token    query         in    in    in      in    in    in    in    in    | 201   201   200   200
no token    header        in    in    in      in    in    in    in    in    | 201   201   200   200
no token    subprotocol   in    in    in      in    in    -     -     -     | -     -     -     -
no token    cookie        in    in    4403    4403  in    in    in    403   | 201   403   200   403
expired     query         in    in    in      in    in    in    in    in    | 201   201   200   200
alg none    query         in    in    in      in    in    in    in    in    | 201   201   200   200
"""

CLIENTS = SIGNED.split("\n")[1].replace("|", "").split()[2:]


class Row(NamedTuple):
    """A line of a table."""

    credential: str
    carrier: str
    answers: list[str]


def rows(table: str) -> list[Row]:
    lines = table.strip().split("\n")[1:]
    return [Row(line[:12].strip(), line[12:26].strip(), line[26:].replace("|", "").split()) for line in lines]


SETTINGS = {
    "CHAT_ALLOWED_ORIGINS": ALLOWED,
    "CHAT_MAX_CONNECTIONS_PER_ADDRESS": "0",
    "CHAT_MAX_CONNECTIONS_PER_USER": "0",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_server(kind: str) -> AsyncIterator[ChatServer]:
    async with ChatServer(plain=kind == "uvicorn", **SETTINGS) as server:  # type: ignore[arg-type]
        yield server
        assert_says_nothing(server)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def signed_server(kind: str) -> AsyncIterator[ChatServer]:
    settings: dict[str, Any] = {**SETTINGS, "CHAT_SECRET_KEY": SECRET}
    async with ChatServer(plain=kind == "uvicorn", **settings) as server, server.http() as http:
        answer = await http.post("/revocations", params={"token": ADMIN}, json={"token": "revoked"})
        assert answer.status_code == 204
        yield server
        assert_says_nothing(server)


def assert_says_nothing(server: ChatServer) -> None:
    assert "Traceback" not in server.log
    assert not any(shown in server.log for shown in CREDENTIALS.values() if shown)


@pytest.mark.parametrize("row", rows(SIGNED), ids=lambda row: f"{row.credential} by {row.carrier}")
async def test_who_is_let_in_by_a_signature(signed_server: ChatServer, row: Row) -> None:
    assert await answers(signed_server, row) == dict(zip(CLIENTS, row.answers, strict=True))


@pytest.mark.parametrize("row", rows(OPEN), ids=lambda row: f"{row.credential} by {row.carrier}")
async def test_who_is_let_in_where_anybody_is(open_server: ChatServer, row: Row) -> None:
    assert await answers(open_server, row) == dict(zip(CLIENTS, row.answers, strict=True))


async def answers(server: ChatServer, row: Row) -> dict[str, str]:
    return {
        client: "-" if expected == "-" else await answer(server, client, row)
        for client, expected in zip(CLIENTS, row.answers, strict=True)
    }


async def answer(server: ChatServer, client: str, row: Row) -> str:
    """Return what a kind of client is told that shows a credential in some way."""
    shown = CREDENTIALS[row.credential]
    headers, query, offered = {}, "", []
    if row.carrier == "query":
        query = f"token={shown}"
    elif row.carrier == "header":
        headers["Authorization"] = f"Bearer {shown}".strip()
    elif row.carrier == "cookie":
        headers["Cookie"] = f"session={shown}"
    elif row.carrier == "subprotocol":
        offered = [f"bearer.{shown}"]
    origin = {
        "page": server.url(""),
        "ptext": server.url(""),
        "allow": ALLOWED,
        "foreign": ELSEWHERE,
        "ftext": ELSEWHERE,
        "fpost": ELSEWHERE,
        "fsse": ELSEWHERE,
        "null": "null",
    }.get(client)
    if client in {"post", "fpost", "sse", "fsse"}:
        return await http_answer(server, client, query, {**headers, **({"Origin": origin} if origin else {})})
    if not client.endswith("text"):
        offered = ["chat.v1", *offered]
    return await socket_answer(server, query, headers, offered, origin)


async def http_answer(server: ChatServer, client: str, query: str, headers: dict[str, str]) -> str:
    async with server.http(headers=headers) as http:
        if client.endswith("post"):
            return str((await http.post(f"/items/tea/messages?{query}", json={"text": "hello"})).status_code)
        async with http.stream("GET", f"/items/tea/events?{query}&history=0") as response:
            return str(response.status_code)


async def socket_answer(
    server: ChatServer, query: str, headers: dict[str, str], offered: list[Any], origin: str | None
) -> str:
    options: dict[str, Any] = {"origin": Origin(origin)} if origin else {}
    path = f"/items/tea/ws?{query}&history=0"
    try:
        async with server.ws(path, subprotocols=offered or None, additional_headers=headers, **options) as socket:
            if not offered:
                return "in"
            assert socket.subprotocol == "chat.v1"
            member = Member(socket)
            try:
                assert (await member.next())["type"] == "welcome"
            except ConnectionClosed:
                code, reason = await member.closed()
                assert reason
                return str(code)
            return "in"
    except InvalidStatus as refusal:
        return str(refusal.response.status_code)
