"""The floor: an asyncio protocol on uvloop that does nothing but write one ready-made frame to every socket of a room.

No HTTP server, no log, no order over workers, no flow control; `joined` collects the frames that are due in one turn of
the event loop and writes once to each socket.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from collections import defaultdict
from typing import cast

import uvloop

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Room:
    """Who is connected, and what is due to them."""

    joined = False

    def __init__(self) -> None:
        self.transports: dict[asyncio.Transport, None] = {}
        self._due: list[bytes] = []

    def say(self, frame: bytes) -> None:
        if not self.joined:
            self._write(frame)
            return
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._due.append(frame)

    def _flush(self) -> None:
        self._write(b"".join(self._due))
        self._due.clear()

    def _write(self, frames: bytes) -> None:
        for transport in self.transports:
            transport.write(frames)


rooms: defaultdict[str, Room] = defaultdict(Room)


class BareProtocol(asyncio.Protocol):
    """The server side of RFC 6455 for clients who behave."""

    def __init__(self) -> None:
        self._room: Room | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._room is None:
            self._shake_hands()
        else:
            self._read_frames(self._room)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._room is not None:
            self._room.transports.pop(self._transport, None)

    def _shake_hands(self) -> None:
        head, separator, self._data = self._data.partition(b"\r\n\r\n")
        if not separator:
            self._data = head
            return
        request, *lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + GUID, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        path = request.split(b" ")[1].partition(b"?")[0]
        self._room = rooms[path.decode()]
        self._room.transports[self._transport] = None

    def _read_frames(self, room: Room) -> None:
        data = self._data
        while len(data) >= 6:
            length, start = data[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(data[2:4]), 4
            end = start + 4 + length
            if len(data) < end:
                break
            key = (data[start : start + 4] * (length // 4 + 1))[:length]
            payload = (int.from_bytes(data[start + 4 : end]) ^ int.from_bytes(key)).to_bytes(length)
            room.say(_frame(payload))
            data = data[end:]
        self._data = data


def _frame(payload: bytes) -> bytes:
    length = len(payload)
    return (bytes((0x81, length)) if length < 126 else b"\x81\x7e" + length.to_bytes(2)) + payload


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BareProtocol, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    Room.joined = sys.argv[2:] == ["joined"]
    uvloop.run(main(int(sys.argv[1])))
