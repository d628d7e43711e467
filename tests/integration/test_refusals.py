"""Who is refused learns it in the way in which it can understand it: a status, or a close code.

A browser cannot see why a handshake failed, so a chat.v1 client with an Origin is accepted and closed with a code. A
program gets the real status. A tutorial client in a browser gets the tutorial's refusal, which is 403 on the wire.
Which credentials count is in tests/security/test_credentials_table.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.members import Member, join
from tests.servers import ChatServer, RedisServer, until

Answer = int | str  # an HTTP status, a close code, or "in"

OWN = "own"
PLAIN, JSON, UNKNOWN = None, ["chat.v1"], ["graphql-ws"]

# What is asked for, and what comes of it for a program and a browser in plain text, and for the same in chat.v1.
TABLE: list[tuple[str, tuple[Answer, Answer, Answer, Answer]]] = [
    ("/items/room/ws?token=secret", ("in", "in", "in", "in")),
    ("/items/room/ws", (403, 403, 401, 4401)),
    ("/items/room/ws?token=", (403, 403, 401, 4401)),
    ("/items/a%20b/ws?token=secret", (422, 403, 422, 4400)),
    ("/items/a/b/ws?token=secret", (422, 403, 422, 4400)),
    (f"/items/{'x' * 129}/ws?token=secret", (422, 403, 422, 4400)),
    ("/items/room/ws?token=secret&q=three", (403, 403, 422, 4400)),
    ("/items/room/ws?token=secret&name=%20", (422, 403, 422, 4400)),
    (f"/items/room/ws?token=secret&name={'x' * 65}", (422, 403, 422, 4400)),
    ("/items/room/ws?token=secret&since=5", (422, 403, 422, 4400)),
    ("/items/room/ws?token=secret&since=e:-5", (422, 403, 422, 4400)),
    ("/items/a%20b/ws", (403, 403, 401, 4401)),
    ("/nowhere", (403, 403, 403, 403)),
]


async def answer(
    server: ChatServer, path: str, subprotocols: Any, origin: str | None, headers: dict[str, str] | None = None
) -> Answer:
    """Return what a client is told that connects so; "in" if it was let in."""
    whence = None if origin is None else Origin(server.url("") if origin == OWN else origin)
    try:
        async with server.ws(path, subprotocols=subprotocols, origin=whence, additional_headers=headers) as socket:
            return "in" if subprotocols is None else await welcome_or_code(Member(socket))
    except InvalidStatus as refusal:
        return refusal.response.status_code


async def welcome_or_code(member: Member) -> Answer:
    try:
        assert (await member.next())["type"] == "welcome"
    except ConnectionClosed:
        code, reason = await member.closed()
        assert reason, "a refusal gives a reason"
        return code
    return "in"


@pytest.mark.parametrize(("path", "expected"), TABLE)
@pytest.mark.parametrize("kind", range(4), ids=["plain", "plain-origin", "json", "json-origin"])
async def test_every_kind_of_client_gets_the_answer_it_can_understand(
    server: ChatServer, path: str, expected: tuple[Answer, ...], kind: int
) -> None:
    """The table above."""
    subprotocols, origin = [(PLAIN, None), (PLAIN, OWN), (JSON, None), (JSON, OWN)][kind]
    assert await answer(server, path, subprotocols, origin) == expected[kind]


@pytest.mark.parametrize(("origin", "expected"), [(None, 422), (OWN, 403)])
async def test_an_unknown_subprotocol_is_refused(server: ChatServer, origin: str | None, expected: int) -> None:
    """Before accept, for nothing can be said in a protocol that is not known."""
    assert await answer(server, "/items/room/ws?token=secret", UNKNOWN, origin) == expected


async def test_one_known_subprotocol_among_others_is_enough(server: ChatServer) -> None:
    """It is the one that is selected."""
    async with server.ws("/items/room/ws?token=secret", subprotocols=["graphql-ws", "chat.v1"]) as socket:
        assert socket.subprotocol == "chat.v1"


async def test_a_program_is_told_in_json(server: ChatServer) -> None:
    """Code and sentence, beside the status."""
    with pytest.raises(InvalidStatus) as refusal:
        async with server.ws("/items/a%20b/ws?token=secret", subprotocols=["chat.v1"]):
            pass
    response = refusal.value.response
    assert response.headers["content-type"] == "application/json"
    assert response.body is not None
    assert b'"code":4400' in response.body
    assert b"cannot stand in a room name" in response.body


@pytest.mark.parametrize("plain", [False, True], ids=["serve", "uvicorn"])
async def test_while_the_broker_is_away_nobody_is_let_in(own_redis: RedisServer, plain: bool) -> None:
    """503 or 4503, which says that trying again makes sense; and in again when it is back."""
    settings = {"CHAT_BROKER_URL": own_redis.url, "CHAT_BROKER_TIMEOUT": "0.5"}
    async with ChatServer(plain=plain, **settings) as server, server.http() as http:  # type: ignore[arg-type]

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        async def away() -> bool:
            return (await http.get("/readyz")).status_code == 503

        await own_redis.kill()
        await until(away, "/readyz says that the broker is away")
        clients: list[tuple[Any, str | None]] = [(PLAIN, None), (PLAIN, OWN), (JSON, None), (JSON, OWN)]
        assert [await answer(server, "/items/room/ws?token=s", *client) for client in clients] == [503, 403, 503, 4503]
        await own_redis.start()
        await until(ready, "/readyz says that the broker is back")
        async with join(server, "room"):
            pass
        assert "Traceback" not in server.log
