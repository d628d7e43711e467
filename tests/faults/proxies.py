"""A proxy before Redis that can tell what Redis pushes from what it answers."""

from __future__ import annotations

import asyncio

from tests.servers import TcpProxy

BULK = b"$=!"
COUNTED = {ord("*"): 1, ord(">"): 1, ord("~"): 1, ord("%"): 2, ord("|"): 2}  # values per counted element


class SubscriberProxy(TcpProxy):
    """Can hold back the messages that Redis pushes to subscribers, while commands are answered as ever."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._hearing = asyncio.Event()
        self._hearing.set()

    def freeze_subscribers(self) -> None:
        """Hold back what is pushed on every connection, those to come included."""
        self._hearing.clear()

    def thaw_subscribers(self) -> None:
        self._hearing.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unread = held = b""
        reading = asyncio.ensure_future(reader.read(65536))
        thawed: asyncio.Task[object] | None = None
        try:
            while True:
                if held and thawed is None:
                    thawed = asyncio.ensure_future(self._hearing.wait())
                await asyncio.wait({reading, thawed} if thawed else {reading}, return_when=asyncio.FIRST_COMPLETED)
                await self._flowing.wait()
                if thawed is not None and thawed.done():
                    writer.write(held)
                    held, thawed = b"", None
                if reading.done():
                    if not (piece := reading.result()):
                        break
                    unread += piece
                    while (end := end_of_value(unread)) > 0:
                        value, unread = unread[:end], unread[end:]
                        if is_message(value) and not self._hearing.is_set():
                            held += value
                        else:
                            writer.write(value)
                    reading = asyncio.ensure_future(reader.read(65536))
                await writer.drain()
        finally:
            reading.cancel()
            if thawed is not None:
                thawed.cancel()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


def is_message(value: bytes) -> bool:
    """Tell whether a value is a pushed message: not, say, that a subscription is made."""
    return value.startswith(b">") and value.split(b"\r\n", 3)[2] == b"message"


def end_of_value(data: bytes, at: int = 0) -> int:
    """Return where a RESP value ends that starts at `at`, or -1 if not all of it is there."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return -1
    end = line_end + 2
    if data[at] in BULK:
        length = int(data[at + 1 : line_end])
        end += length + 2 if length >= 0 else 0
        return end if end <= len(data) else -1
    for _ in range(COUNTED.get(data[at], 0) * int(data[at + 1 : line_end]) if data[at] in COUNTED else 0):
        if end >= len(data) or (end := end_of_value(data, end)) < 0:
            return -1
    return end
