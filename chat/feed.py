"""A room's one stream of items: what the broker sends, in order, holes filled from the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from chat import metrics
from chat.backoff import delays
from chat.broker import Broker
from chat.codec import Item
from chat.events import NOWHERE, Link, Page, Position, Publication
from chat.exceptions import BrokerUnavailable
from chat.protocol import Status
from chat.recovery import Place, gap, place
from chat.tail import Tail

logger = logging.getLogger("chat.feed")

PAGE = 128  # messages that are read from the log at once
CATCH_UP_TIMEOUT = 5.0  # seconds
TAIL_BYTES = 262_144  # of message bodies that a room keeps on the worker

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Feed:
    """Hands on every publication once, in order, whether it came live or had to be read from the log.

    What the log does not have any more is handed on as a `Gap`, an outage of the broker as a `Status`. So whoever is
    given the items, from `position` on, has everything or knows what is missing.
    """

    def __init__(
        self,
        room: str,
        broker: Broker,
        *,
        history_size: int,
        deliver: Callable[[Item], None],
        refresh: Callable[[], Awaitable[None]],
        spawn: Spawn,
    ) -> None:
        self.position = NOWHERE  # up to where publications were handed on
        self.degraded = False  # the broker is away, or what was missed meanwhile is not read yet
        self._history_size = history_size
        self.tail = self._new_tail(0)
        self._room = room
        self._broker = broker
        self._deliver = deliver
        self._spawn = spawn
        self._refresh = refresh  # reads again what is not in the log, but may have been missed as well
        self._recovery: asyncio.Task[None] | None = None
        self._missed_more = False  # something was missed since the recovery last read the log

    async def open(self) -> None:
        """Find out where the log stands, and take its newest page into the tail."""
        page = await self._broker.history(self._room, limit=PAGE)
        self.position = page.position
        newest: list[Publication] = []
        for publication in reversed(page.publications):
            if publication.epoch == page.position.epoch and publication.offset == page.position.offset - len(newest):
                newest.append(publication)
        self.tail = self._new_tail(page.position.offset - len(newest))
        for publication in reversed(newest):
            self.tail.append(publication)

    def close(self) -> None:
        """Stop reading what was missed."""
        if self._recovery is not None:
            self._recovery.cancel()

    def take(self, event: Publication | Link) -> None:
        """Take one event from the broker: in order it is handed on at once; else the log is read first."""
        if isinstance(event, Publication):
            where = place(self.position, event)
            if where is Place.NEXT:
                self._advance(event)
            elif where is not Place.SEEN:
                self._recover()
        elif event is Link.UP:
            self._recover()
        else:
            self.degraded = True
            self._deliver(Status("degraded"))

    async def catch_up(self) -> None:
        """Come up to where the log stands now, if this worker is behind it; raises `BrokerUnavailable`."""
        _, pending = await asyncio.wait({self._recover()}, timeout=CATCH_UP_TIMEOUT)
        if pending:
            raise BrokerUnavailable("the broker does not say what was missed")

    async def read_on(self, position: Position) -> Page:
        """Read the log's next page after a position, or its oldest if the position is of another epoch."""
        page = await self._broker.history(self._room, after=position.offset, limit=PAGE)
        if page.position.epoch != position.epoch:
            page = await self._broker.history(self._room, after=0, limit=PAGE)
        return page

    def _new_tail(self, end: int) -> Tail:
        return Tail(end=end, limit=TAIL_BYTES, count=self._history_size)

    def _advance(self, publication: Publication) -> None:
        self.position = Position(publication.epoch, publication.offset)
        self.tail.append(publication)
        self._deliver(publication)

    def _recover(self) -> asyncio.Task[None]:
        self._missed_more = True
        if self._recovery is None:
            self._recovery = self._spawn(self._read_what_was_missed())
        return self._recovery

    async def _read_what_was_missed(self) -> None:
        """Come up to the log's end, by the same door as live traffic; then say, after an outage, that all is well."""
        waits = delays(first=0.05, most=0.8)
        try:
            while self._missed_more:
                try:
                    await self._read_to_the_end()
                    await self._refresh()
                except BrokerUnavailable:
                    self._missed_more = True
                    await asyncio.sleep(next(waits))
            if self.degraded:
                self.degraded = False
                self._deliver(Status("ok"))
        finally:
            self._recovery = None

    async def _read_to_the_end(self) -> None:
        end = None
        # A store that lost its newest messages goes on behind what this worker has seen, before anybody publishes.
        await self._broker.position(self._room, seen=self.position)
        while end is None or self.position.offset < end.offset:
            # Whatever is heard of from here on and is not next may be missing in the page: it sets this again.
            self._missed_more = False
            page = await self.read_on(self.position)
            end = page.position
            if (missing := gap(self.position, page)) is not None:
                metrics.gaps.inc()
                self._deliver(missing)
                self.position = Position(missing.epoch, missing.before - 1)
                self.tail = self._new_tail(missing.before - 1)
            for publication in page.publications:
                if place(self.position, publication) is Place.NEXT:
                    metrics.recovered.inc()
                    self._advance(publication)
