"""No log line holds a credential, however much is logged."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.members import join
from tests.servers import ChatServer


@pytest.mark.parametrize(
    ("plain", "level"),
    [
        (False, "info"),
        (False, "debug"),
        (True, "info"),
        (True, "debug"),
        (True, "trace"),
    ],
)
async def test_not_even_the_most_talkative_log_holds_a_credential(plain: bool, level: str) -> None:
    """Neither from the query nor from a cookie, of who is let in and of who is not."""
    cookie = {"Cookie": "session=secret-cookie"}
    async with ChatServer("--log-level", level, plain=plain) as server, server.http() as http:
        async with join(server, "room", token="secret-token") as ada:
            await ada.say("hello")
        async with server.ws("/items/room/ws", additional_headers=cookie) as socket:
            await socket.send("hello")
            await socket.recv()
        with pytest.raises(InvalidStatus):
            async with server.ws("/items/a%20b/ws?token=secret-token", additional_headers=cookie):
                pass
        await http.get("/items/room/messages?token=secret-token", headers=cookie)
        await http.get("/nowhere?token=secret-token")
        await server.terminate()
        assert "secret" not in server.log
