"""The connection manager of FastAPI's WebSocket tutorial, one list of sockets per room.

As a reader of the tutorial would deploy it: uvicorn on uvloop, without an access log and without compression.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Annotated

import uvicorn
from fastapi import Cookie, Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException, status

app = FastAPI()


class ConnectionManager:
    """Awaits every socket in turn."""

    def __init__(self) -> None:
        self.rooms: defaultdict[str, list[WebSocket]] = defaultdict(list)

    async def connect(self, room: str, websocket: WebSocket) -> None:
        await websocket.accept()
        self.rooms[room].append(websocket)

    def disconnect(self, room: str, websocket: WebSocket) -> None:
        self.rooms[room].remove(websocket)

    async def broadcast(self, room: str, message: str) -> None:
        for websocket in list(self.rooms[room]):
            try:
                await websocket.send_text(message)
            except (WebSocketDisconnect, RuntimeError):
                continue  # it has just left; its own task removes it


manager = ConnectionManager()


async def credential(
    session: Annotated[str | None, Cookie()] = None, token: Annotated[str | None, Query()] = None
) -> str:
    if session is None and token is None:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
    return session or token or ""


@app.websocket("/items/{item_id}/ws")
async def room(
    websocket: WebSocket,
    item_id: str,
    credential: Annotated[str, Depends(credential)],
    name: str = "guest",
    q: int | None = None,
) -> None:
    await manager.connect(item_id, websocket)
    try:
        while True:
            text = await websocket.receive_text()
            await manager.broadcast(item_id, f"Client #{name} says: {text}")
    except WebSocketDisconnect:
        manager.disconnect(item_id, websocket)
        await manager.broadcast(item_id, f"Client #{name} left the chat")


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )
