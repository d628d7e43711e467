"""`GET /items/{item_id}/events`: a room as server-sent events, for those who only listen."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from chat.access import Access
from chat.codec import EventStream
from chat.connection import Connection
from chat.dependencies import get_access, get_manager, get_room, malformed_if
from chat.events import Position
from chat.frames import Payload
from chat.manager import ConnectionManager
from chat.protocol import DEFAULT_PAGE, MAX_PAGE, CloseCode
from chat.refusal import refusals
from chat.session import Greeter
from chat.transport import EVENT_STREAM, STOPPING, Transport

router = APIRouter(tags=["rooms"])

CODEC = EventStream()
COMMENT = Payload(b": still here\n\n")  # keeps proxies from closing a silent stream


@router.get(
    "/items/{item_id:path}/events",
    response_class=Response,
    responses={
        200: {"description": "the events of chat.v1", "content": {"text/event-stream": {}}},
        **refusals(
            CloseCode.UNAUTHENTICATED,
            CloseCode.FORBIDDEN,
            CloseCode.MALFORMED,
            CloseCode.TOO_MANY_CONNECTIONS,
            CloseCode.UNAVAILABLE,
        ),
    },
)
async def events(
    request: Request,
    manager: Annotated[ConnectionManager, Depends(get_manager)],
    room: Annotated[str, Depends(get_room)],
    access: Annotated[Access, Depends(get_access)],
    since: Annotated[str | None, Query(description="epoch:offset of the last message seen")] = None,
    last_event_id: Annotated[str | None, Header(description="the same, as browsers send it")] = None,
    history: Annotated[int, Query(ge=0, le=MAX_PAGE, description="messages to replay, without since")] = DEFAULT_PAGE,
) -> Response:
    """Listen to a room; a browser's EventSource comes back and goes on by itself."""
    with malformed_if(ValueError):
        position = Position.parse(at) if (at := last_event_id or since) else None
    return _Stream(manager, room, access, since=position, newest=history)


class _Stream(Response):
    """A response that lasts as long as the client listens."""

    def __init__(
        self, manager: ConnectionManager, room: str, access: Access, *, since: Position | None, newest: int
    ) -> None:
        super().__init__(
            media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        del self.headers["content-length"]
        self._manager = manager
        self._room = room
        self._access = access
        self._since = since
        self._newest = newest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def accept() -> tuple[Transport, Receive]:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            return self._manager.transport(send, EVENT_STREAM), receive

        async with self._manager.join(
            self._room,
            accept,
            user=self._access.identity.user,
            address=scope["client"][0] if scope.get("client") else None,
            codec=CODEC,
            since=self._since,
            newest=self._newest,
            greet=Greeter(self._manager.settings, self._access),
        ) as connection:
            stopping = scope.get("extensions", {}).get(STOPPING, [])
            stopping.append(connection.stopping)
            with self._access.guarding(connection):
                await self._stay(connection, receive)

    async def _stay(self, connection: Connection, receive: Receive) -> None:
        heartbeat = self._manager.settings.heartbeat or None
        while True:
            try:
                message: Any = await asyncio.wait_for(receive(), heartbeat)
            except TimeoutError:
                connection.send(COMMENT)
            else:
                if message["type"] == "http.disconnect":
                    connection.close_code = 1000
                    return
