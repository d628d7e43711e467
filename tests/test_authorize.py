"""An app's own say in who may do what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from chat import Action, ConnectionManager, Forbidden, Settings, User, create_app
from tests.apps import serving
from tests.members import Member

ASKED: list[tuple[str, str, Action]] = []


async def authorize(user: User, room: str, action: Action) -> bool:
    """Everybody may listen, but not in the cellar; only Ada may speak."""
    ASKED.append((user.name, room, action))
    return user.name == "Ada" if action is Action.PUBLISH else room != "cellar"


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Of the whole service."""
    ASKED.clear()
    with TestClient(create_app(Settings.load(), authorize=authorize)) as client:
        yield client


def test_it_is_asked_at_the_door(client: TestClient) -> None:
    path = "/items/cellar/ws?token=t&name=Bob"
    with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect(path, headers={"Origin": "x://y"}):
        pytest.fail("it was let in")
    assert refusal.value.code == 4403
    assert ASKED == [("Bob", "cellar", Action.SUBSCRIBE)]


async def test_it_is_asked_before_each_message() -> None:
    """Who may not speak is told so, and does not seem to be about to."""
    app = create_app(Settings.load(), authorize=authorize)
    async with (
        serving(app) as served,
        served.ws("/items/tea/ws?token=b&name=Bob", subprotocols=["chat.v1"]) as bobs,
        served.ws("/items/tea/ws?token=a&name=Ada", subprotocols=["chat.v1"]) as adas,
    ):
        bob, ada = Member(bobs), Member(adas)
        await bob.send("typing")
        refusal = await bob.ask("publish", text="hello")
        assert (refusal["type"], refusal["code"]) == ("error", "forbidden")
        await ada.say("hello")
        assert (await bob.event("message"))["user"]["name"] == "Ada"
        assert "typing" not in {event["type"] for event in bob.seen}


def test_it_is_asked_over_http(client: TestClient) -> None:
    def say(name: str) -> int:
        return client.post(f"/items/tea/messages?token=t&name={name}", json={"text": "hello"}).status_code

    assert (say("Ada"), say("Bob")) == (201, 403)
    for what in ("messages", "members", "events"):
        answer = client.get(f"/items/cellar/{what}?token=t")
        assert answer.status_code == 403
        assert answer.json()["code"] == 4403


def test_an_app_of_ones_own_is_told_by_an_exception() -> None:
    """A guest whom nobody knows is asked about as well."""
    manager = ConnectionManager(settings=Settings.load(), authorize=authorize)
    app = FastAPI(lifespan=manager.lifespan)
    refused: list[str] = []

    @app.websocket("/{room}")
    async def endpoint(websocket: WebSocket, room: str) -> None:
        async with manager.connect(websocket, room) as connection:
            async for said in connection:
                assert isinstance(said, str)
                try:
                    await connection.publish(said)
                except Forbidden as error:
                    refused.append(str(error))
                    connection.send("no")

    with TestClient(app) as client, client.websocket_connect("/tea") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "no"
    assert refused == ["you may not publish in tea"]
