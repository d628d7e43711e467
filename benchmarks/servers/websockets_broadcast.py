"""python-websockets with its own `broadcast()`, one set of connections per room, compression off."""

from __future__ import annotations

import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def endpoint(connection: ServerConnection) -> None:
    assert connection.request is not None
    room = rooms[connection.request.path.partition("?")[0]]
    room.add(connection)
    try:
        async for message in connection:
            broadcast(room, message)
    finally:
        room.discard(connection)


async def main(port: int) -> None:
    async with serve(endpoint, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
