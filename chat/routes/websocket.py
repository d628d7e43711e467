"""`/ws`, the tutorial's echo, and `/items/{item_id}/ws`, a room."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.routing import APIWebSocketRoute
from starlette.routing import WebSocketRoute

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
from chat.protocol import DEFAULT_PAGE, MAX_PAGE, CloseCode
from chat.rights import Action
from chat.session import converse


async def echo(websocket: WebSocket) -> None:
    """Say back what is said, bytes as they are: a check that WebSockets get through a proxy."""
    await websocket.accept()
    with suppress(RuntimeError):  # by which uvicorn says that it has closed meanwhile, because of what came next
        while (message := await websocket.receive())["type"] == "websocket.receive":
            if (text := message.get("text")) is not None:
                await websocket.send_text(f"Message text was: {text}")
            else:
                await websocket.send_bytes(message["bytes"])
        raise WebSocketDisconnect(message.get("code", CloseCode.NORMAL))  # as the tutorial's ends


# What can be worked out without FastAPI is not made a parameter: each costs some 20 µs per connection.
async def room(
    websocket: WebSocket,
    item_id: str,
    credential: Annotated[str, Depends(get_cookie_or_token)],
    q: int | None = None,
) -> None:
    """A room: plain text as in the tutorial, or chat.v1 if the client offers it.

    Besides `q` the query may have `name`, to show to others; `since`, the position of the last message seen; and
    `history`, how many messages to replay without that.
    """
    query = websocket.query_params
    with malformed_if(InvalidName, ValueError):
        item_id = room_name(item_id)
        position = Position.parse(query["since"]) if "since" in query else None
        newest = _page(query["history"]) if "history" in query else DEFAULT_PAGE
    identity = await identify(websocket, credential, query.get("name"))
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
        newest=newest,
        stay=False,
    )


def add_to(app: FastAPI) -> None:
    """Add both endpoints. To the app itself: the way through a router costs every connection another 30 µs."""
    app.add_api_websocket_route("/ws", echo)
    # `:path`, so that a name with a slash in it is refused with a reason and not as an unknown route.
    path = "/items/{item_id:path}/ws"
    app.router.routes.append(WebSocketRoute(path, _Shortcut(app, path).enter))


class _Shortcut:
    """Calls the endpoint and its one dependency as FastAPI would, where there is nothing for it to find out.

    Solving dependencies takes it a quarter of what a connection costs, some 110 µs.
    """

    def __init__(self, app: FastAPI, path: str) -> None:
        self._app = app
        self._route = APIWebSocketRoute(path, room, dependency_overrides_provider=app)

    async def enter(self, websocket: WebSocket) -> None:
        """Let FastAPI do it if somebody overrides a dependency, or if `q` is not just digits."""
        query = websocket.query_params
        q = query.get("q")
        if self._app.dependency_overrides or (q is not None and not _are_digits(q)):
            await self._route.app(websocket.scope, websocket.receive, websocket.send)
            return
        session, token = websocket.cookies.get("session", ""), query.get("token", "")
        credential = await get_cookie_or_token(websocket, session, token)
        await room(websocket, websocket.path_params["item_id"], credential, None if q is None else int(q))


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _page(text: str) -> int:
    if not _are_digits(text) or int(text) > MAX_PAGE:
        raise ValueError(f"history: the number of messages to replay, 0 to {MAX_PAGE}, not {text[:64]!r}")
    return int(text)
