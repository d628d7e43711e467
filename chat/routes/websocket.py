"""`/ws`, the tutorial's echo, and `/items/{item_id}/ws`, a room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, WebSocket

from chat.dependencies import get_cookie_or_token, get_manager, get_room, get_since, get_user
from chat.events import Position
from chat.manager import ConnectionManager
from chat.protocol import DEFAULT_PAGE, MAX_PAGE, User
from chat.session import converse

router = APIRouter()


@router.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Say back what is said: a check that WebSockets get through a proxy."""
    await websocket.accept()
    while True:
        text = await websocket.receive_text()
        await websocket.send_text(f"Message text was: {text}")


# `:path`, so that a name with a slash in it is refused with a reason and not as an unknown route.
@router.websocket("/items/{item_id:path}/ws")
async def room(
    websocket: WebSocket,
    manager: Annotated[ConnectionManager, Depends(get_manager)],
    credential: Annotated[str, Depends(get_cookie_or_token)],
    room: Annotated[str, Depends(get_room)],
    user: Annotated[User, Depends(get_user)],
    since: Annotated[Position | None, Depends(get_since)],
    history: Annotated[int, Query(ge=0, le=MAX_PAGE, description="messages to replay, without since")] = DEFAULT_PAGE,
    q: int | None = None,
) -> None:
    """A room: plain text as in the tutorial, or chat.v1 if the client offers it."""
    await converse(websocket, manager, room, user=user, credential=credential, q=q, since=since, newest=history)
