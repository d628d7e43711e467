"""`converse`: the whole protocol in an endpoint of somebody else's app."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection

from chat import ConnectionManager, Settings, User, converse
from chat.server import ChatProtocol
from tests.apps import serving
from tests.servers import RedisServer


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


@pytest.mark.parametrize("ws", ["auto", ChatProtocol], ids=["uvicorn", "frames"])
async def test_a_burst_is_taken_in_order_however_long(ws: Any, shared_redis: RedisServer, prefix: str) -> None:
    """A client that does not wait for answers is listened to in portions, and gets every answer, in order."""
    manager = ConnectionManager(settings=Settings.load(broker_url=shared_redis.url, broker_prefix=prefix, rate_limit=0))
    app = FastAPI(lifespan=manager.lifespan)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await converse(websocket, manager, "lobby", user=User("ada", "Ada"), credential="", stay=False)

    async with serving(app, ws=ws) as served, served.ws("/", subprotocols=["chat.v1"]) as ada:
        await event(ada, "welcome")
        for number in range(1000):
            await ada.send(json.dumps({"type": "publish", "id": str(number), "text": "hello"}))
        acks = [await event(ada, "ack") for _ in range(1000)]
    assert [(ack["id"], ack["offset"]) for ack in acks] == [(str(n), n + 1) for n in range(1000)]
