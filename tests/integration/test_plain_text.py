"""What several clients of the tutorial see of each other, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.members import join
from tests.servers import PATIENCE, ChatServer


@asynccontextmanager
async def tutorial_client(server: ChatServer, room: str, name: str, query: str = "") -> AsyncIterator[ClientConnection]:
    async with server.ws(f"/items/{room}/ws?token=secret-of-{name}&name={name}{query}") as socket:
        yield socket


async def received(socket: ClientConnection, count: int) -> list[str | bytes]:
    async with asyncio.timeout(PATIENCE):
        return [await socket.recv() for _ in range(count)]


async def test_the_sender_sees_its_lines_in_order(server: ChatServer, room: str) -> None:
    """Credential, query parameter, message."""
    async with tutorial_client(server, room, "Ada", "&q=5") as ada:
        await ada.send("hello")
        assert await received(ada, 3) == [
            "Session cookie or query token value is: secret-of-Ada",
            "Query parameter q is: 5",
            f"Message text was: hello, for item ID: {room}",
        ]


async def test_the_cookie_is_a_credential_as_well(server: ChatServer, room: str) -> None:
    """For a program, which sends it on purpose."""
    async with server.ws(f"/items/{room}/ws", additional_headers={"Cookie": "session=secret-cookie"}) as socket:
        await socket.send("hello")
        assert await received(socket, 1) == ["Session cookie or query token value is: secret-cookie"]


async def test_the_others_see_who_says_what_and_who_leaves(server: ChatServer, room: str) -> None:
    """By name, and never a credential."""
    async with tutorial_client(server, room, "Ada") as ada:
        async with tutorial_client(server, room, "Grace") as grace:
            await grace.send("hello")
            await received(grace, 2)
            assert await received(ada, 1) == ["Client #Grace says: hello"]
        assert await received(ada, 1) == ["Client #Grace left the chat"]


async def test_everybody_sees_one_order(server: ChatServer, room: str) -> None:
    """Also the senders, whose own lines stand where the others see theirs."""
    async with tutorial_client(server, room, "Ada") as ada, tutorial_client(server, room, "Grace") as grace:
        for number in range(20):
            await ada.send(f"a{number}")
            await grace.send(f"g{number}")
        order = [
            [str(line).removeprefix("Message text was: ").partition(",")[0].rpartition(": ")[2] for line in lines]
            for lines in (await received(ada, 60), await received(grace, 60))
        ]
    said = [[word for word in words if not word.startswith("secret")] for words in order]
    assert said[0] == said[1]
    assert len(said[0]) == 40


async def test_binary_arrives_as_binary(server: ChatServer, room: str) -> None:
    """With the sender and with the others."""
    async with tutorial_client(server, room, "Ada") as ada, tutorial_client(server, room, "Grace") as grace:
        await ada.send(b"\x00\xff")
        assert (await received(ada, 2))[1] == b"\x00\xff"
        assert await received(grace, 1) == [b"\x00\xff"]


async def test_what_members_of_chat_v1_say_can_be_read(server: ChatServer, room: str) -> None:
    """Text as a line, data as its JSON, binary as bytes."""
    async with tutorial_client(server, room, "Grace") as grace, join(server, room, query="name=Ada") as ada:
        await ada.send("publish", text="hello")
        await ada.send("publish", data={"a": [1, None]})
        await ada.send("publish", binary="AP8=")
        lines = await received(grace, 3)
    assert lines[0] == "Client #Ada says: hello"
    assert str(lines[1]).replace(" ", "") == 'Client#Adasays:{"a":[1,null]}'
    assert lines[2] == b"\x00\xff"


async def test_members_of_chat_v1_read_what_tutorial_clients_say(server: ChatServer, room: str) -> None:
    """Both are in one room."""
    async with join(server, room) as ada, tutorial_client(server, room, "Grace") as grace:
        await grace.send("hello")
        await grace.send(b"\x00\xff")
        text, binary = await ada.messages(2)
    assert (text["text"], text["user"]["name"], text["offset"]) == ("hello", "Grace", 1)
    assert binary["binary"] == "AP8="


async def test_nothing_of_before_is_replayed(server: ChatServer, room: str) -> None:
    """A tutorial client sees what is said while it is there, as in the tutorial."""
    async with join(server, room) as ada:
        await ada.say("before")
        async with tutorial_client(server, room, "Grace") as grace:
            await ada.say("now")
            assert str((await received(grace, 1))[0]).endswith("says: now")


async def test_a_text_that_is_too_long_is_said_to_the_sender(server: ChatServer, room: str) -> None:
    """And to nobody else; the connection stays."""
    async with tutorial_client(server, room, "Ada") as ada:
        await ada.send("x" * 4001)
        assert "4000 are allowed" in str((await received(ada, 1))[0])
        await ada.send("hello")
        assert len(await received(ada, 2)) == 2


async def test_the_echo(server: ChatServer) -> None:
    """A check that WebSockets get through; no credential is needed."""
    async with server.ws("/ws") as socket:
        await socket.send("hello")
        assert await received(socket, 1) == ["Message text was: hello"]


@pytest.mark.parametrize("query", ["", "token=", "token=secret&q=three"])
async def test_a_refusal_is_the_tutorials(server: ChatServer, room: str, query: str) -> None:
    """1008 before accept is 403 on the wire."""
    with pytest.raises(InvalidStatus) as refusal:
        async with server.ws(f"/items/{room}/ws?{query}"):
            pass
    assert refusal.value.response.status_code == 403


async def test_a_client_that_vanishes_has_left(server: ChatServer, room: str) -> None:
    """Without a closing handshake, as when a laptop is shut."""
    async with tutorial_client(server, room, "Ada") as ada, tutorial_client(server, room, "Grace") as grace:
        grace.transport.abort()
        assert await received(ada, 1) == ["Client #Grace left the chat"]
        with pytest.raises(ConnectionClosed):
            await grace.recv()
