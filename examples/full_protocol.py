"""All of chat.v1 in an app with a sign-in of its own: resume, history, presence, typing, acknowledgement.

    export CHAT_BROKER_URL=redis://localhost:6379/0
    uvicorn examples.full_protocol:app --workers 2 --ws chat.server:ChatProtocol

Then, in another terminal, `python -m examples.client ws://localhost:8000/rooms/ops --token key-of-ada`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Query, WebSocket
from starlette.exceptions import WebSocketException

from chat import ConnectionManager, User, converse
from chat.events import Position
from chat.protocol import CloseCode
from chat.refusal import refuse

# These two stand for your own sign-in, and for your own rules.
KEYS = {"key-of-ada": User("1", "Ada"), "key-of-bob": User("2", "Bob")}
MAY_ENTER = {"ops": {"1"}, "lobby": {"1", "2"}}

manager = ConnectionManager()
app = FastAPI(lifespan=manager.lifespan)
# Tells browsers by close codes, programs by HTTP status, why they are not let in.
app.add_exception_handler(WebSocketException, refuse)  # type: ignore[arg-type]


async def get_user(token: Annotated[str, Query()] = "") -> User:
    """Return who it is; a WebSocket of a browser carries no Authorization header, so the key is in the query."""
    if token not in KEYS:
        raise WebSocketException(CloseCode.UNAUTHENTICATED, "this key is not known")
    return KEYS[token]


@app.websocket("/rooms/{room}")
async def chat_room(
    websocket: WebSocket,
    room: str,
    user: Annotated[User, Depends(get_user)],
    token: str = "",
    since: str | None = None,
) -> None:
    """Hold the whole conversation; ends when the client leaves."""
    if user.id not in MAY_ENTER.get(room, set()):
        raise WebSocketException(CloseCode.FORBIDDEN, "this room is not open to you")
    try:
        position = None if since is None else Position.parse(since)
    except ValueError as error:
        raise WebSocketException(CloseCode.MALFORMED, str(error)) from None
    # `credential` is repeated to plain-text clients, as in the tutorial; chat.v1 never sends it.
    await converse(websocket, manager, room, user=user, credential=token, since=position)
