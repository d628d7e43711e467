"""The chat of broadcaster's own documentation, a channel per room, on uvicorn and uvloop.

One subscription per socket, and one awaited `send_text` each, as there. Its Redis backend hears nothing with the
newest redis-py, so the peers have one of their own that it hears with.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from broadcaster import Broadcast
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PORT, URL = int(sys.argv[1]), sys.argv[2]

broadcast = Broadcast(URL)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await broadcast.connect()
    yield
    await broadcast.disconnect()


async def endpoint(websocket: WebSocket) -> None:
    room = websocket.path_params["room"]
    await websocket.accept()
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            try:
                async for message in websocket.iter_text():
                    await broadcast.publish(channel=room, message=message)
            except WebSocketDisconnect:
                pass  # it has left
            tasks.cancel_scope.cancel()

        tasks.start_soon(receive)
        async with broadcast.subscribe(channel=room) as subscriber:
            async for event in subscriber:  # type: ignore[union-attr]
                await websocket.send_text(event.message)  # type: ignore[union-attr]


if __name__ == "__main__":
    uvicorn.run(
        Starlette(
            routes=[WebSocketRoute("/items/{room}/ws", endpoint)],
            lifespan=lifespan,
        ),
        port=PORT,
        loop="uvloop",
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )
