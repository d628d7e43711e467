"""The wire itself: frames made byte by byte, also such as no library would send, and what comes back for them."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.servers import ChatServer

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SOON = 10.0  # seconds in which a server answers, even on a busy machine
LOST = 1006  # the connection ended without a close


class Received(NamedTuple):
    """A frame that came from the server; it never sends messages in pieces."""

    opcode: int
    payload: bytes


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bool = True,
    length: int | None = None,
) -> bytes:
    """Return a client's frame (RFC 6455, 5.2).

    `reserved`: RSV1 is 4, RSV2 is 2, RSV3 is 1. `length` is what the frame claims, if that is not what it has.
    """
    claimed = len(payload) if length is None else length
    first = bytes([fin << 7 | reserved << 4 | opcode])
    if claimed < 126:
        head = first + bytes([mask << 7 | claimed])
    elif claimed < 65536:
        head = first + bytes([mask << 7 | 126]) + struct.pack("!H", claimed)
    else:
        head = first + bytes([mask << 7 | 127]) + struct.pack("!Q", claimed)
    return head + _masked(payload) if mask else head + payload


def close(code: int | None = None, reason: str | bytes = b"") -> bytes:
    """Return a client's close."""
    said = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, (b"" if code is None else struct.pack("!H", code)) + said)


def _masked(payload: bytes) -> bytes:
    key = os.urandom(4)
    repeated = key * (len(payload) // 4 + 1)
    number = int.from_bytes(payload) ^ int.from_bytes(repeated[: len(payload)])
    return key + number.to_bytes(len(payload))


def handshake(path: str, **changed: str | None) -> bytes:
    """Return a good opening handshake, with some headers changed or, by None, left out; _ stands for -."""
    headers: dict[str, str | None] = {
        "host": "localhost",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Wire:
    """A connection on which exactly those bytes are sent that a test wants to send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def send_chopped(self, data: bytes, size: int) -> None:
        """Send in segments of so many bytes, each on its own as far as the kernel lets us."""
        with suppress(ConnectionError):  # the server need not wait for the rest
            for start in range(0, len(data), size):
                self.writer.write(data[start : start + size])
                await self.writer.drain()
                await asyncio.sleep(0)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers of the answer to the handshake; 0 if there was none."""
        async with asyncio.timeout(SOON):
            try:
                text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, {}
        first, *lines = text.strip().split("\r\n")
        return int(first.split()[1]), {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }

    async def next(self) -> Received:
        """Return the next frame; raises `EOFError` or `ConnectionError` at the end."""
        async with asyncio.timeout(SOON):
            first, second = await self.reader.readexactly(2)
            assert second < 128, "a server does not mask"
            assert first & 0xF0 == 0x80, "a server sends whole messages, without extensions"
            length = second
            if second == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
                assert length > 125
            elif second == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
                assert length > 65535
            return Received(first & 15, await self.reader.readexactly(length))

    async def rest(self) -> tuple[list[Received], int, bytes]:
        """Read to the end; returns the frames before the close, and the close's code and reason."""
        frames: list[Received] = []
        code, reason = LOST, b""
        with suppress(EOFError, ConnectionError):
            while (came := await self.next()).opcode != CLOSE:
                frames.append(came)
            code, reason = (struct.unpack("!H", came.payload[:2])[0], came.payload[2:]) if came.payload else (1005, b"")
            self.send(frame(CLOSE, came.payload))  # in case the server waits for it
            async with asyncio.timeout(SOON):
                assert await self.reader.read() == b"", "nothing comes after a close"
        return frames, code, reason


@asynccontextmanager
async def connected(server: ChatServer) -> AsyncIterator[Wire]:
    """A TCP connection, on which nothing was said yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def opened(
    server: ChatServer, path: str, protocols: Sequence[str] = (), **headers: str | None
) -> AsyncIterator[Wire]:
    """A WebSocket, on which the handshake is done and nothing else."""
    async with connected(server) as wire:
        wire.send(handshake(path, sec_websocket_protocol=", ".join(protocols) or None, **headers))
        status, _ = await wire.head()
        assert status == 101, f"refused by {status}"
        yield wire
