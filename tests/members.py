"""A chat.v1 client for tests, as thin as can be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.servers import PATIENCE, ChatServer

Json = dict[str, Any]


class Member:
    """Sends commands, and reads events by their type; `seen` is everything that came so far."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[Json] = []
        self.welcome: Json = {}

    @property
    def id(self) -> str:
        user: Json = self.welcome["user"]
        return str(user["id"])

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def next(self) -> Json:
        """Return the next event, whatever it is."""
        async with asyncio.timeout(PATIENCE):
            event: Json = json.loads(await self.socket.recv())
        self.seen.append(event)
        return event

    async def event(self, *types: str) -> Json:
        """Return the next event of one of these types; others are passed over."""
        while (event := await self.next())["type"] not in types:
            pass
        return event

    async def ask(self, type: str, **fields: Any) -> Json:
        """Send a command with an id, and return the one reply it gets."""
        fields.setdefault("id", f"{type}-{len(self.seen)}")
        await self.send(type, **fields)
        while (event := await self.next()).get("id") != fields["id"] or event["type"] == "message":
            pass
        return event

    async def say(self, text: str) -> Json:
        """Say something, and wait until it is heard; returns the message."""
        id = f"said-{len(self.seen)}"
        await self.send("publish", id=id, text=text)
        while (message := await self.event("message"))["id"] != id:
            pass
        return message

    async def messages(self, count: int) -> list[Json]:
        return [await self.event("message") for _ in range(count)]

    async def closed(self) -> tuple[int, str]:
        """Read to the end; returns code and reason of the server's close."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        end = self.socket.protocol.close_rcvd
        assert end is not None, "the connection was lost without a close"
        return end.code, end.reason


@asynccontextmanager
async def join(
    server: ChatServer, room: str, *, token: str = "secret-of-ada", query: str = "", **options: Any
) -> AsyncIterator[Member]:
    """Be a member of a room for as long as the block lasts; it begins when `welcome` has come."""
    path = f"/items/{room}/ws?token={token}&{query}"
    async with server.ws(path, subprotocols=["chat.v1"], **options) as socket:
        member = Member(socket)
        member.welcome = await member.next()
        yield member
