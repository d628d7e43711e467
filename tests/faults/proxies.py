"""A proxy before Redis that can tell which connection is which."""

from __future__ import annotations

import asyncio

from tests.servers import TcpProxy


class SubscriberProxy(TcpProxy):
    """Can freeze only what Redis pushes to subscribers, while commands are answered as ever."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._hearing = asyncio.Event()
        self._hearing.set()
        self._subscribed: set[asyncio.StreamWriter] = set()  # ways back to those who subscribed

    def freeze_subscribers(self) -> None:
        """Hold back what comes from Redis on every connection that subscribes, those to come included."""
        self._hearing.clear()

    def thaw_subscribers(self) -> None:
        self._hearing.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if b"SUBSCRIBE" in piece:
                self._subscribed.add(self._way_back(writer))
            await self._flowing.wait()
            if writer in self._subscribed:
                await self._hearing.wait()
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()

    def _way_back(self, way_there: asyncio.StreamWriter) -> asyncio.StreamWriter:
        return next(ways[0] for ways in self._connections.values() if way_there in ways)
