"""What is due to a room's live members, written once to each in every turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic as _now

from chat import metrics
from chat.codec import Item
from chat.connection import Connection
from chat.events import NOWHERE, Position, Publication
from chat.frames import Batch, Payload
from chat.group import Group
from chat.protocol import Gap
from chat.told import Told
from chat.turn import Turn

MANY = 64  # members, from which on a write to each takes so long that it pays to see what else is about to come
TURNS = 3  # of the loop, some microseconds each, that what comes first waits for what comes with it
BREATH = 0.25  # of the time that it took to write to all; so long what comes next waits for what comes with it
SHORTEST_TIMER = 0.0005  # seconds; uvloop counts in milliseconds
LONGEST_BREATH = 0.02  # seconds, whatever may have held us up meanwhile


class Delivery:
    """Writes every item to every live member, in order, and waits for nobody.

    A member whose transport pauses, even in the middle of it, is taken out, and handed to `lags` afterwards with the
    position up to which it was written to.
    """

    def __init__(self, members: Mapping[str, Connection], turn: Turn, *, lags: Callable[[Connection], None]) -> None:
        self.written = NOWHERE  # up to where publications were written to the live members
        self.told = Told(False, {}, 0)  # what was written to them of what is in no log
        self._members = members  # by connection id, live or not
        self._turn = turn
        self._lags = lags
        self._live: dict[str, Group] = {}  # by codec name
        self._due: list[Item] = []  # not written yet
        self._apart: dict[Connection, list[Payload]] = {}  # what is due to one member only, behind the rest
        self._flushing = False
        self._rested = 0.0  # when it may write to many members again
        self._paused: list[Connection] = []  # in the middle of it

    def add(self, item: Item) -> None:
        """Write it together with whatever else comes in this turn of the loop."""
        if not self._due and not self._apart:
            self._flush_soon()
        self._due.append(item)

    def add_for(self, connection: Connection, payload: Payload) -> None:
        """Write it to one member, live or not, together with and behind whatever else comes in this turn."""
        if not self._due and not self._apart:
            self._flush_soon()
        self._apart.setdefault(connection, []).append(payload)

    def _flush_soon(self) -> None:
        if len(self._members) < MANY:
            self._turn.at_end(self.flush)
        elif (rest := self._rested - _now()) >= SHORTEST_TIMER:
            asyncio.get_running_loop().call_later(rest, self.flush)
        else:
            self._flush_after(TURNS)

    def _flush_after(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._flush_after, turns - 1)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what is due, now."""
        items, apart = self._due, self._apart
        if self._flushing or not (items or apart):
            return
        self._due, self._apart = [], {}
        for item in items:
            if isinstance(item, Publication):
                self.written = Position(item.epoch, item.offset)
            elif isinstance(item, Gap):
                self.written = Position(item.epoch, item.before - 1)
            else:
                self.told = self.told.after(item)
        self._flushing = True
        try:
            if items:
                began = _now()
                for group in self._live.values():
                    if group:
                        self._write_to_all(group, items, apart)
                ended = _now()
                self._rested = ended + min((ended - began) * BREATH, LONGEST_BREATH)
            for connection, payloads in apart.items():
                connection.transport.write(Batch(payloads))
        finally:
            self._flushing = False
        if self._paused:
            paused, self._paused = self._paused, []
            for connection in paused:
                self.pause(connection)

    def _write_to_all(self, group: Group, items: list[Item], apart: dict[Connection, list[Payload]]) -> None:
        codec = group.codec
        batch = Batch(list(filter(None, map(codec.encode, items))))
        instead: dict[Connection, Batch] = {}
        if codec.personal:
            for author in self._authors(group, items):
                instead[author] = as_seen_by(author, items)
        for connection in [*apart] if apart else ():
            if connection in group:
                instead[connection] = instead.get(connection, batch).then(apart.pop(connection))
        if batch.payloads or instead:
            written = group.write(batch, instead=instead)
            metrics.delivered.inc(len(batch.payloads) * written)

    def _authors(self, group: Group, items: list[Item]) -> set[Connection]:
        """Return the members to whom what they said themselves looks different."""
        authors = (self._members.get(item.origin) for item in items if isinstance(item, Publication))
        return {author for author in authors if author is not None and author in group}

    def start(self, connection: Connection) -> None:
        """Make a member live that has got everything up to `written`."""
        connection.live = True
        codec = connection.codec
        if codec.name not in self._live:
            self._live[codec.name] = Group(codec)
        self._live[codec.name].add(connection)

    def stop(self, connection: Connection) -> None:
        """Write to a member no more."""
        if connection.live:
            connection.live = False
            self._live[connection.codec.name].discard(connection)

    def pause(self, connection: Connection) -> None:
        """Stop, and have a live member caught up later."""
        if self._flushing:
            self._paused.append(connection)
        elif connection.live:
            self.stop(connection)
            connection.position = self.written
            self._lags(connection)


def as_seen_by(connection: Connection, items: Sequence[Item]) -> Batch:
    """Return items as one member gets them, what it said itself included."""
    codec = connection.codec
    payloads: list[Payload] = []
    for item in items:
        if codec.personal and isinstance(item, Publication) and item.origin == connection.id:
            payloads.extend(codec.own(item))
        elif (payload := codec.encode(item)) is not None:
            payloads.append(payload)
    return Batch(payloads)
