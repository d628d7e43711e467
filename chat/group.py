"""The live members of a room who are written the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from chat.codec import Codec
from chat.connection import Connection
from chat.frames import Batch


class Group:
    """Members with the same codec; what is written to them is encoded once.

    The hottest loop of all is here. So a transport that takes ready-made frames is not asked anything: its write is
    kept at hand, and whoever must not be written to any more is taken out at once.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec  # of the first member; as good as any other's
        self._writes: dict[Connection, Callable[[bytes], None]] = {}
        self._compressed: dict[Connection, Callable[[bytes], None]] = {}  # the same, for those who take it compressed
        self._others: dict[Connection, None] = {}  # whose transports take batches

    def __len__(self) -> int:
        return len(self._writes) + len(self._compressed) + len(self._others)

    def __iter__(self) -> Iterator[Connection]:
        yield from self._writes
        yield from self._compressed
        yield from self._others

    def __contains__(self, connection: object) -> bool:
        return connection in self._writes or connection in self._compressed or connection in self._others

    def add(self, connection: Connection) -> None:
        """Let a member be written to."""
        transport = connection.transport
        if transport.write_frames is None:
            self._others[connection] = None
        elif transport.compress_from:
            self._compressed[connection] = transport.write_frames
        else:
            self._writes[connection] = transport.write_frames

    def discard(self, connection: Connection) -> None:
        """Write to it no more."""
        self._writes.pop(connection, None)
        self._compressed.pop(connection, None)
        self._others.pop(connection, None)

    def write(self, batch: Batch, *, instead: Mapping[Connection, Batch]) -> int:
        """Write to all members, something else `instead` to some; returns to how many."""
        if self._writes:
            frames = batch.frames
            if instead:
                for connection, write in self._writes.items():
                    write(instead[connection].frames if connection in instead else frames)
            else:
                for write in self._writes.values():
                    write(frames)
        if self._compressed:
            least = next(iter(self._compressed)).transport.compress_from
            frames = batch.deflated(least)
            for connection, write in self._compressed.items():
                write(instead[connection].deflated(least) if connection in instead else frames)
        for connection in self._others:
            connection.transport.write(instead.get(connection, batch))
        return len(self)
