"""`/ws`, the tutorial's echo, and `/items/{item_id}/ws`, a room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, WebSocket

from chat.access import Access
from chat.dependencies import (
    demand,
    get_authenticator,
    get_cookie_or_token,
    get_manager,
    identify,
    malformed_if,
)
from chat.events import Position
from chat.exceptions import InvalidName
from chat.names import room_name
from chat.protocol import DEFAULT_PAGE, MAX_PAGE
from chat.rights import Action
from chat.session import converse

router = APIRouter()


@router.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Say back what is said: a check that WebSockets get through a proxy."""
    await websocket.accept()
    while True:
        text = await websocket.receive_text()
        await websocket.send_text(f"Message text was: {text}")


# `:path`, so that a name with a slash in it is refused with a reason and not as an unknown route. What can be worked
# out without FastAPI is not made a dependency: each costs some 50 µs per connection.
@router.websocket("/items/{item_id:path}/ws")
async def room(
    websocket: WebSocket,
    item_id: str,
    credential: Annotated[str, Depends(get_cookie_or_token)],
    name: Annotated[str | None, Query(description="the name to show to others")] = None,
    since: Annotated[str | None, Query(description="epoch:offset of the last message seen")] = None,
    history: Annotated[int, Query(ge=0, le=MAX_PAGE, description="messages to replay, without since")] = DEFAULT_PAGE,
    q: int | None = None,
) -> None:
    """A room: plain text as in the tutorial, or chat.v1 if the client offers it."""
    with malformed_if(InvalidName, ValueError):
        item_id = room_name(item_id)
        position = None if since is None else Position.parse(since)
    identity = await identify(websocket, credential, name)
    demand(identity, item_id, Action.SUBSCRIBE)
    await converse(
        websocket,
        await get_manager(websocket),
        item_id,
        user=identity.user,
        credential=credential,
        access=Access(await get_authenticator(websocket), identity, item_id),
        q=q,
        since=position,
        newest=history,
    )
