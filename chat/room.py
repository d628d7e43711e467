"""The members of one room on this worker, and what is delivered to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from chat import metrics
from chat.backoff import delays
from chat.broker import Broker
from chat.codec import Item
from chat.connection import Connection
from chat.delivery import Delivery, as_seen_by
from chat.events import Event, Left, Page, Position, Publication, Receipt, Signal
from chat.exceptions import BrokerUnavailable
from chat.feed import PAGE, Feed, Spawn
from chat.protocol import LISTED_MEMBERS, Body, CloseCode, Gap, IsTyping, Presence, Status, User, encode
from chat.recovery import following, gap
from chat.roster import PEOPLE, Change, Changes, People, Roster
from chat.settings import Settings
from chat.told import Told

logger = logging.getLogger("chat.room")

TYPING = "typing"  # the kind of signal for it; its body is the `User`
CHANGES_TOGETHER = 0.1  # seconds: who comes and goes within that time is told in one event
SECOND_LOOK = 4.0  # seconds between two looks at who is here, after signals may have been missed
COUNTS_TOGETHER = 1.0  # seconds: the same for a room in which only the number is told

Greet = Callable[["Room", Connection, bool], Item]  # the bool: everything the member missed follows


class Start(NamedTuple):
    """Where a member begins, what it can never get of what it asked for, and whether it gets everything."""

    position: Position
    missing: Gap | None
    recovered: bool


class Room:
    """Delivers every item of its feed to every member, in one order, and never waits for a socket.

    Members that can be written to are *live*; what is due to them in one turn of the loop is written once to each.
    A member whose transport pauses is taken off the live list and sent nothing; when the transport resumes it is
    given what it missed, from the tail or the log, and put back. So no queue grows for anybody.
    """

    def __init__(self, name: str, broker: Broker, *, worker: str, settings: Settings, spawn: Spawn) -> None:
        self.name = name
        self.members: dict[str, Connection] = {}  # by connection id
        self.held = 0  # by how many, members and members to be, the room is kept open
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.roster = Roster()  # who is here, over all workers
        self.feed = Feed(
            name, broker, history_size=settings.history_size, deliver=self._deliver, refresh=self._refresh, spawn=spawn
        )
        self._broker = broker
        self._worker = worker
        self._stall_timeout = settings.stall_timeout
        self._spawn = spawn
        self._heard_of: list[People] | None = None  # while the roster is read: who came and went meanwhile
        self._changes = Changes()  # of the roster, not told to the members yet
        self._told = Told(False, {}, 0)  # what the members know
        self._delivery = Delivery(self.members, lags=self._lag)

    # --- from the broker ---

    async def open(self) -> None:
        """Find out where the log stands and who is here; raises `BrokerUnavailable`."""
        await self.feed.open()
        self.roster.become(await self._broker.roster(self.name), own="")
        self._delivery.written = self.feed.position
        self._note_told()
        self.opened.set_result(None)

    async def follow(self, next_event: Callable[[], Awaitable[Event]]) -> None:
        """Take what the broker sends until cancelled."""
        try:
            while True:
                event = await next_event()
                if isinstance(event, Signal):
                    self._heed(event)
                else:
                    self.feed.take(event)
        finally:
            self.feed.close()

    def _heed(self, signal: Signal) -> None:
        try:
            if signal.kind == PEOPLE:
                people = msgspec.json.decode(signal.body, type=People)
                self._note(people)
                if self._heard_of is not None:
                    self._heard_of.append(people)
                for user in people.closed:
                    self._deliver(Left(user))
            elif signal.kind == TYPING:
                self._deliver(IsTyping(msgspec.json.decode(signal.body, type=User)))
        except msgspec.DecodeError as error:
            metrics.foreign_payloads.inc()
            logger.warning("skipped a signal in room %s: %s", self.name, error)

    async def _refresh(self, *, sure: bool = False) -> None:
        """Read who is here: signals may have been missed."""
        heard = self._heard_of = []
        try:
            entries = await self._broker.roster(self.name)
        finally:
            self._heard_of = None
        # Who is missing counts as gone at the second look: after an outage every worker enters its people again.
        known = [] if sure else self.roster.entries()
        self._changed(self.roster.become([*known, *entries], own=self._worker))
        for people in heard:  # it may be newer than what was read
            self._note(people)
        if not sure:
            self._spawn(self._refresh_again())

    async def _refresh_again(self) -> None:
        await asyncio.sleep(SECOND_LOOK)
        with suppress(BrokerUnavailable):  # its return starts anew
            await self._refresh(sure=True)

    def _note(self, people: People) -> None:
        self._changed(self.roster.enter(people.worker, people.joined))
        self._changed(self.roster.leave(people.worker, people.left))

    def forget(self, worker: str) -> list[str]:
        """Take the people of a worker that is gone off the roster; returns their ids."""
        ids = self.roster.on(worker)
        self._changed(self.roster.leave(worker, ids))
        return ids

    def _changed(self, change: Change) -> None:
        if self._changes.add(change):
            asyncio.get_running_loop().call_later(self._patience(), self._tell_changes)

    def _patience(self) -> float:
        return CHANGES_TOGETHER if self.roster.count <= LISTED_MEMBERS else COUNTS_TOGETHER

    def _tell_changes(self) -> None:
        if (presence := self._changes.sum(self.roster)) is not None:
            self._deliver(presence)

    # --- to the members ---

    def _deliver(self, item: Item) -> None:
        if isinstance(item, Presence | Status):
            self._note_told()
        self._delivery.add(item)

    def _note_told(self) -> None:
        self._told = Told(self.feed.degraded, {user.id: user for user in self.roster.listed()}, self.roster.count)

    # --- members ---

    async def start(self, since: Position | None, *, newest: int = 0) -> Start:
        """Find out where a member begins that has seen everything up to `since`, or else wants the `newest`.

        Waits only if that is not in the tail: for a look into the log. Raises `BrokerUnavailable`.
        """
        if since is None:
            return Start(await self._before_newest(newest), None, recovered=False)
        if not self._reaches(since):
            await self.feed.catch_up()  # this worker may be behind the one where the client has been
        epoch, offset = self.feed.position
        if since.epoch == epoch and since.offset > offset:
            missing: Gap | None = Gap(after=offset, before=offset + 1, reason="ahead", epoch=epoch)
        elif since.epoch == epoch and since.offset >= self.feed.tail.start:
            missing = None
        else:
            missing = gap(since, await self.feed.read_on(since))
        if missing is None:
            return Start(since, None, recovered=True)
        return Start(Position(missing.epoch, missing.before - 1), missing, recovered=False)

    async def _before_newest(self, count: int) -> Position:
        epoch, offset = self.feed.position
        if max(offset - count, 0) >= self.feed.tail.start:
            return Position(epoch, max(offset - count, 0))
        page = await self.history(limit=count)
        kept = [p.offset for p in page.publications if p.epoch == epoch and p.offset <= offset]
        return Position(epoch, kept[0] - 1 if kept else offset)

    def _reaches(self, since: Position) -> bool:
        return since.epoch == self.feed.position.epoch and since.offset <= self.feed.position.offset

    def join(self, connection: Connection, start: Start, *, greet: Greet | None = None) -> None:
        """Make a connection a member: greet it, replay what came after its start, then let it have live traffic."""
        self.members[connection.id] = connection
        connection.position = start.position
        if greet is not None:
            connection.send(greet(self, connection, start.recovered))
        if start.missing is not None:
            connection.send(start.missing)
        if not self._promote(connection):
            self._spawn(self._catch_up(connection))

    def leave(self, connection: Connection) -> None:
        """Make it a member no more."""
        self.members.pop(connection.id, None)
        self._delivery.stop(connection)

    def pause(self, connection: Connection) -> None:
        """Its transport has paused, or closes: take it off the live list."""
        self._delivery.pause(connection)

    def _lag(self, connection: Connection) -> None:
        if not connection.closing:
            self._spawn(self._catch_up(connection, told=self._told))

    async def _catch_up(self, connection: Connection, *, told: Told | None = None) -> None:
        """Give a member what it has not got yet, as fast as it reads, and make it live.

        `told`: what it was told last of what is in no log.
        """
        waits = delays(first=0.05, most=0.8)
        while connection.id in self.members and not connection.closing:
            try:
                await connection.writable(self._stall_timeout)
                if self._promote(connection):
                    if told is not None:
                        connection.send(*self._told.since(told))
                    return
                if not connection.transport.paused:
                    await self._write_page(connection)
            except TimeoutError:
                metrics.stalled.inc()
                connection.close(CloseCode.STALLED, "you stopped reading")
            except BrokerUnavailable:
                await asyncio.sleep(next(waits))

    def _promote(self, connection: Connection) -> bool:
        """Write what the tail has for it; make it live, and return True, if that is all it lacks."""
        self._delivery.flush()
        epoch, offset = self.feed.position
        while not connection.transport.paused and connection.position.epoch == epoch:
            if connection.position.offset == offset:
                self._delivery.start(connection)
                return True
            stretch = self.feed.tail.after(connection.position.offset, limit=PAGE)
            if not stretch:
                return False
            self._write(connection, stretch)
        return False

    async def _write_page(self, connection: Connection) -> None:
        """Write what the log has next for a member, but nothing that the room itself has yet to come to."""
        page = await self.feed.read_on(connection.position)
        epoch, end = self.feed.position
        if page.position.epoch != epoch or (connection.position.epoch == epoch and connection.position.offset > end):
            await self.feed.catch_up()
            return
        if (missing := gap(connection.position, page)) is not None:
            if missing.before - 1 > end:
                await self.feed.catch_up()
                return
            metrics.gaps.inc()
            connection.send(missing)
            connection.position = Position(missing.epoch, missing.before - 1)
        self._write(connection, following(connection.position, page, end=end))

    def _write(self, connection: Connection, publications: list[Publication]) -> None:
        if publications:
            connection.transport.write(as_seen_by(connection, publications))
            connection.position = Position(publications[-1].epoch, publications[-1].offset)

    # --- from a member ---

    async def publish(self, body: Body, origin: str, remember: bool) -> Receipt:
        """Hand a message to the broker; its author hears it by the same road as everybody else."""
        key = f"{body.user.id}:{body.id}" if remember else None
        receipt = await self._broker.publish(self.name, encode(body), origin=origin, key=key, seen=self.feed.position)
        metrics.published.inc()
        return receipt

    async def history(self, *, after: int | None = None, before: int | None = None, limit: int) -> Page:
        """Return a page of the log, as `Broker.history` does; raises `BrokerUnavailable`."""
        return await self._broker.history(self.name, after=after, before=before, limit=limit)

    def who_is_here(self) -> tuple[list[User], int]:
        """Return the people, or nobody if they are too many to be listed, and how many they are."""
        return self.roster.listed(), self.roster.count

    async def typing(self, user: User) -> None:
        """Let everybody know that somebody is writing; raises `BrokerUnavailable`."""
        await self._broker.signal(self.name, Signal(TYPING, "-", encode(user)))
