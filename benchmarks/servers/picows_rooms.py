"""picows, a WebSocket library in Cython: one set of transports per room."""

from __future__ import annotations

import sys
from collections import defaultdict

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server  # type: ignore[import-not-found]

rooms: defaultdict[bytes, set[WSTransport]] = defaultdict(set)


class Member(WSListener):  # type: ignore[misc]
    """One connection."""

    def __init__(self, request: WSUpgradeRequest) -> None:
        super().__init__()
        self._room = rooms[request.path.partition(b"?")[0]]

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._room.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._room.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            text = frame.get_payload_as_bytes()
            for member in self._room:
                member.send(WSMsgType.TEXT, text)


async def main(port: int) -> None:
    server = await ws_create_server(Member, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
