"""The members of one room on this worker, and what is delivered to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from chat import metrics
from chat.backoff import delays
from chat.broker import Broker
from chat.codec import Codec, Item
from chat.connection import Connection
from chat.events import Event, Link, Page, Position, Publication, Receipt
from chat.exceptions import BrokerUnavailable, ConnectionClosed
from chat.frames import Batch, Payload
from chat.protocol import Body, Status, encode
from chat.recovery import Place, gap, place
from chat.tail import Tail

logger = logging.getLogger("chat.room")

PAGE = 128  # messages that are read from the log at once
TAIL_BYTES = 262_144  # of message bodies that a room keeps on the worker

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
Greet = Callable[[Connection, Position], Item]


class Room:
    """Delivers every publication to every member, in one order, and never waits for a socket.

    Members that can be written to are *live*; what is due to them in one turn of the loop is written once to each.
    A member whose transport pauses is taken off the live list and sent nothing; when the transport resumes it is
    given what it missed, from the tail or the log, and put back. So no queue grows for anybody.
    """

    def __init__(self, name: str, broker: Broker, *, spawn: Spawn) -> None:
        self.name = name
        self.members: dict[str, Connection] = {}  # by connection id
        self.expected = 0  # members to be, for whom the room is kept open
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.position = Position("", 0)  # up to where publications were taken; the next one's offset is one higher
        self._broker = broker
        self._spawn = spawn
        self._tail = Tail(end=0, limit=TAIL_BYTES)
        self._live: dict[str, dict[Connection, None]] = {}  # by codec name
        self._due: list[Item] = []  # taken, but not written yet
        self._written = self.position  # up to where publications were written to the live members
        self._flushing = False
        self._paused_in_flush: list[Connection] = []
        self._recovery: asyncio.Task[None] | None = None  # reads what was missed
        self._missed_more = False  # something was missed since the recovery last read the log

    # --- from the broker ---

    async def open(self) -> None:
        """Find out where the log stands, and take its newest page into the tail."""
        page = await self._broker.history(self.name, limit=PAGE)
        self.position = self._written = page.position
        newest: list[Publication] = []
        for publication in reversed(page.publications):
            if publication.epoch == page.position.epoch and publication.offset == page.position.offset - len(newest):
                newest.append(publication)
        self._tail = Tail(end=page.position.offset - len(newest), limit=TAIL_BYTES)
        for publication in reversed(newest):
            self._tail.append(publication)

    async def follow(self, next_event: Callable[[], Awaitable[Event]]) -> None:
        """Take what the broker sends until cancelled."""
        try:
            while True:
                self.take(await next_event())
        finally:
            if self._recovery is not None:
                self._recovery.cancel()

    def take(self, event: Event) -> None:
        """Take one event: in order it becomes due at once; out of order, the log is read first."""
        if isinstance(event, Publication):
            match place(self.position, event):
                case Place.NEXT:
                    self._advance(event)
                case Place.AHEAD | Place.ELSEWHERE:
                    self._recover()
        elif event is Link.UP:
            self._recover()
        elif event is Link.DOWN:
            self._deliver(Status("degraded"))
        else:
            self._deliver(event)

    def _advance(self, publication: Publication) -> None:
        self.position = Position(publication.epoch, publication.offset)
        self._tail.append(publication)
        self._deliver(publication)

    def _recover(self) -> None:
        self._missed_more = True
        if self._recovery is None:
            self._recovery = self._spawn(self._read_what_was_missed())

    async def _read_what_was_missed(self) -> None:
        """Bring the room up to the log's end, through the same door as live traffic; then say that all is well."""
        waits = delays(first=0.05, most=0.8)
        try:
            while self._missed_more:
                try:
                    self._missed_more = False
                    page = await self._read_on(self.position)
                except BrokerUnavailable:
                    self._missed_more = True
                    await asyncio.sleep(next(waits))
                    continue
                if (missing := gap(self.position, page)) is not None:
                    metrics.gaps.inc()
                    self._deliver(missing)
                    self.position = Position(missing.epoch, missing.before - 1)
                    self._tail = Tail(end=missing.before - 1, limit=TAIL_BYTES)
                for publication in page.publications:
                    if place(self.position, publication) is Place.NEXT:
                        metrics.recovered.inc()
                        self._advance(publication)
                if self.position.offset < page.position.offset:
                    self._missed_more = True
            self._deliver(Status("ok"))
        finally:
            self._recovery = None

    async def _read_on(self, position: Position) -> Page:
        """Read the log's next page after a position, or its oldest if the position is of another epoch."""
        page = await self._broker.history(self.name, after=position.offset, limit=PAGE)
        if page.position.epoch != position.epoch:
            page = await self._broker.history(self.name, after=0, limit=PAGE)
        return page

    # --- to the members ---

    def _deliver(self, item: Item) -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self.flush)
        self._due.append(item)

    def flush(self) -> None:
        """Write what is due to every live member, once."""
        items, self._due = self._due, []
        if not items:
            return
        self._written = self.position
        self._flushing = True
        for group in self._live.values():
            if group:
                self._write_to(group, items)
        self._flushing = False
        paused, self._paused_in_flush = self._paused_in_flush, []
        for connection in paused:
            self._lag(connection)

    def _write_to(self, group: dict[Connection, None], items: list[Item]) -> None:
        codec = next(iter(group)).codec
        payloads = [codec.encode(item) for item in items]
        batch = Batch([payload for payload in payloads if payload is not None])
        authors = self._authors(items, group) if codec.personal else set()
        if batch.payloads:
            for connection in group:
                if connection not in authors:
                    connection.transport.write(batch)
        for connection in authors:
            connection.transport.write(Batch(_as_seen_by(connection, items)))
        metrics.delivered.inc(len(batch.payloads) * len(group))

    def _authors(self, items: list[Item], group: dict[Connection, None]) -> set[Connection]:
        """Return the members in `group` to whom what they said themselves looks different."""
        authors = (self.members.get(item.origin) for item in items if isinstance(item, Publication))
        return {author for author in authors if author is not None and author in group}

    # --- members ---

    def join(self, connection: Connection, *, newest: int = 0, greet: Greet | None = None) -> None:
        """Make a connection a member: greet it, replay the `newest` messages, then let it have live traffic."""
        self.members[connection.id] = connection
        connection.position = Position(self.position.epoch, max(self.position.offset - newest, 0))
        if greet is not None:
            connection.send(greet(connection, self.position))
        if not self._promote(connection):
            self._spawn(self._catch_up(connection))

    def leave(self, connection: Connection) -> None:
        """Make it a member no more."""
        self.members.pop(connection.id, None)
        self._live.get(connection.codec.name, {}).pop(connection, None)
        connection.live = False

    def pause(self, connection: Connection) -> None:
        """Its transport has paused: take it off the live list."""
        if self._flushing:
            self._paused_in_flush.append(connection)
        else:
            self._lag(connection)

    def _lag(self, connection: Connection) -> None:
        if not connection.live:
            return
        del self._live[connection.codec.name][connection]
        connection.live = False
        connection.position = self._written
        self._spawn(self._catch_up(connection, afterwards=Status("ok")))  # it may miss the end of a degraded time

    async def _catch_up(self, connection: Connection, *, afterwards: Item | None = None) -> None:
        """Give a member what it has not got yet, as fast as it reads, and make it live; then say `afterwards`."""
        waits = delays(first=0.05, most=0.8)
        while connection.id in self.members:
            try:
                await connection.writable()
                if self._promote(connection):
                    if afterwards is not None:
                        connection.send(afterwards)
                    return
                if not connection.transport.paused:
                    self._write_page(connection, await self._read_on(connection.position))
            except ConnectionClosed:
                return
            except BrokerUnavailable:
                await asyncio.sleep(next(waits))

    def _promote(self, connection: Connection) -> bool:
        """Write what the tail has for it; make it live, and return True, if that is all it lacks."""
        self.flush()
        while not connection.transport.paused and connection.position.epoch == self.position.epoch:
            if connection.position.offset >= self.position.offset:
                connection.live = True
                self._live.setdefault(connection.codec.name, {})[connection] = None
                return True
            stretch = self._tail.after(connection.position.offset, limit=PAGE)
            if stretch is None:
                return False
            self._write(connection, stretch)
        return False

    def _write_page(self, connection: Connection, page: Page) -> None:
        missing = gap(connection.position, page)
        if missing is not None:
            metrics.gaps.inc()
            connection.send(missing)
            connection.position = Position(missing.epoch, missing.before - 1)
        self._write(connection, [p for p in page.publications if p.epoch == connection.position.epoch])

    def _write(self, connection: Connection, publications: list[Publication]) -> None:
        if publications:
            connection.transport.write(Batch(_as_seen_by(connection, publications)))
            connection.position = Position(publications[-1].epoch, publications[-1].offset)

    # --- from a member ---

    async def publish(self, body: Body, origin: str, remember: bool) -> Receipt:
        """Hand a message to the broker; its author hears it by the same road as everybody else."""
        key = f"{body.user.id}:{body.id}" if remember else None
        receipt = await self._broker.publish(self.name, encode(body), origin=origin, key=key)
        metrics.published.inc()
        return receipt


def _as_seen_by(connection: Connection, items: Sequence[Item]) -> list[Payload]:
    payloads: list[Payload] = []
    codec: Codec = connection.codec
    for item in items:
        if codec.personal and isinstance(item, Publication) and item.origin == connection.id:
            payloads.extend(codec.own(item))
        elif (payload := codec.encode(item)) is not None:
            payloads.append(payload)
    return payloads
