"""python-socketio with its Redis manager, on uvicorn and uvloop."""

from __future__ import annotations

import sys

import socketio  # type: ignore[import-not-found]
import uvicorn

PORT, REDIS = int(sys.argv[1]), sys.argv[2]

server = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(REDIS), http_compression=False, ping_interval=120
)


@server.event  # type: ignore[untyped-decorator]
async def join(sid: str, room: str) -> None:
    await server.enter_room(sid, room)


@server.event  # type: ignore[untyped-decorator]
async def say(sid: str, room: str, text: str) -> None:
    await server.emit("said", text, room=room)


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(server),
        port=PORT,
        loop="uvloop",
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )
