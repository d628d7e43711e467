"""`converse`: the whole protocol in an endpoint of somebody else's app."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection

from chat import ConnectionManager, User, converse
from chat.server import ChatProtocol
from tests.apps import serving


async def event(socket: ClientConnection, type: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (found := json.loads(await socket.recv()))["type"] != type:
            pass
    return dict(found)


@pytest.mark.parametrize("ws", ["auto", ChatProtocol], ids=["uvicorn", "frames"])
async def test_an_app_can_decide_itself_who_enters(ws: Any) -> None:
    """Room and person come from it; what is spoken is chat.v1 or the tutorial's plain text, as the client asks."""
    manager = ConnectionManager("memory://")
    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/{name}")
    async def endpoint(websocket: WebSocket, name: str) -> None:
        await converse(websocket, manager, "lobby", user=User(name.lower(), name), credential="not shown to others")

    async with serving(app, ws=ws) as served, served.ws("/Ada", subprotocols=["chat.v1"]) as ada:
        assert (await event(ada, "welcome"))["user"] == {"id": "ada", "name": "Ada"}
        async with served.ws("/Grace") as grace:
            await grace.send("hello")
            heard = await event(ada, "message")
            await ada.send('{"type":"publish","text":"hi"}')
            async with asyncio.timeout(10):
                lines = [await grace.recv() for _ in range(3)]
    assert (heard["text"], heard["user"]["name"]) == ("hello", "Grace")
    assert lines[2] == "Client #Ada says: hi"
