"""The members of one room on this worker, and what is delivered to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from chat import metrics
from chat.attendance import Attendance
from chat.backoff import delays
from chat.broker import Broker
from chat.broker.base import Then
from chat.codec import Item
from chat.connection import Connection
from chat.delivery import Delivery, as_seen_by
from chat.events import Event, Left, Page, Position, Publication, Signal
from chat.exceptions import BrokerUnavailable
from chat.feed import PAGE, Feed, Spawn
from chat.frames import Payload
from chat.protocol import Body, CloseCode, Gap, IsTyping, User, encode
from chat.recovery import following, gap
from chat.roster import PEOPLE, People
from chat.settings import Settings
from chat.told import Told

logger = logging.getLogger("chat.room")

TYPING = "typing"  # the kind of signal for it; its body is the `User`

Greet = Callable[["Room", Connection, bool], Item]  # the bool: everything the member missed follows


class Start(NamedTuple):
    """Where a member begins, what it can never get of what it asked for, and whether it gets everything."""

    position: Position
    missing: Gap | None
    recovered: bool
    newest: int | None = None  # how many messages it wants at most before live ones, if it did not say where it stands


class Room:
    """Delivers every item of its feed to every member, in one order, and never waits for a socket.

    Members that can be written to are *live*; what is due to them in one turn of the loop is written once to each.
    A member whose transport pauses is taken off the live list and sent nothing; when the transport resumes it is
    given what it missed, from the tail or the log, and put back. So no queue grows for anybody.
    """

    def __init__(
        self, name: str, broker: Broker, *, worker: str, settings: Settings, own: Callable[[], list[User]], spawn: Spawn
    ) -> None:
        self.name = name
        self.members: dict[str, Connection] = {}  # by connection id
        self.held = 0  # by how many, members and members to be, the room is kept open
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._early: list[Event] | None = []  # heard before it was open
        self._delivery = Delivery(self.members, broker.turn, lags=self._lag)
        self.attendance = Attendance(name, broker, worker=worker, own=own, deliver=self._delivery.add, spawn=spawn)
        self.feed = Feed(
            name,
            broker,
            history_size=settings.history_size,
            deliver=self._delivery.add,
            refresh=self.attendance.refresh,
            spawn=spawn,
        )
        self._broker = broker
        self._stall_timeout = settings.stall_timeout
        self._spawn = spawn

    # --- from the broker ---

    async def open(self) -> None:
        """Find out where the log stands and who is here; raises `BrokerUnavailable`."""
        await self.feed.open()
        await self.attendance.open()
        self._delivery.written = self.feed.position
        self._delivery.told = Told.of(self.attendance.roster, degraded=self.feed.degraded)
        early, self._early = self._early or [], None
        for event in early:
            self.take(event)
        self.opened.set_result(None)

    def take(self, event: Event) -> None:
        """Take what the broker sends; it waits while the room is not open yet."""
        if self._early is not None:
            self._early.append(event)
        elif isinstance(event, Signal):
            self._heed(event)
        else:
            self.feed.take(event)

    def close(self) -> None:
        """Ask the broker for nothing more."""
        self.feed.close()
        self.attendance.close()

    def _heed(self, signal: Signal) -> None:
        try:
            if signal.kind == PEOPLE:
                people = msgspec.json.decode(signal.body, type=People)
                self.attendance.heed(people)
                for user in people.closed:
                    self._delivery.add(Left(user))
            elif signal.kind == TYPING:
                self._delivery.add(IsTyping(msgspec.json.decode(signal.body, type=User)))
        except msgspec.DecodeError as error:
            metrics.foreign_payloads.inc()
            logger.warning("skipped a signal in room %s: %s", self.name, error)

    # --- members ---

    async def start(self, since: Position | None, *, newest: int = 0) -> Start:
        """Find out where a member begins that has seen everything up to `since`, or else wants the `newest`.

        Waits only if that is not in the tail: for a look into the log. Raises `BrokerUnavailable`.
        """
        if since is None:
            return Start(await self._before_newest(newest), None, recovered=False, newest=newest)
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
        self._delivery.flush()  # what it is greeted with is what the others know, no more and no less
        self.members[connection.id] = connection
        connection.position = self._begin_at(start)
        if greet is not None:
            connection.send(greet(self, connection, start.recovered))
        if start.missing is not None:
            connection.send(start.missing)
        if not self._promote(connection):
            self._spawn(self._catch_up(connection, told=self.told))

    def _begin_at(self, start: Start) -> Position:
        """Return where a member begins, now that more may have been said than when it was found out."""
        epoch, offset = self.feed.position
        if start.newest is None or start.position.epoch != epoch:
            return start.position
        return Position(epoch, max(start.position.offset, offset - start.newest))

    @property
    def told(self) -> Told:
        """What the live members know that is in no log; everybody is to know the same."""
        return self._delivery.told

    def leave(self, connection: Connection) -> None:
        """Make it a member no more."""
        self.members.pop(connection.id, None)
        self._delivery.stop(connection)

    def send_soon(self, connection: Connection, payload: Payload) -> None:
        """Write to one member, in one go with whatever else is due to it in this turn of the loop."""
        self._delivery.add_for(connection, payload)

    def flush(self) -> None:
        """Write what is due, now."""
        self._delivery.flush()

    def pause(self, connection: Connection) -> None:
        """Its transport has paused, or closes: take it off the live list."""
        self._delivery.pause(connection)

    def _lag(self, connection: Connection) -> None:
        if not connection.closing:
            self._spawn(self._catch_up(connection, told=self.told))

    async def _catch_up(self, connection: Connection, *, told: Told) -> None:
        """Give a member what it has not got yet, as fast as it reads, and make it live.

        `told`: what it was told last of what is in no log.
        """
        waits = delays(first=0.05, most=0.8)
        while connection.id in self.members and not connection.closing:
            try:
                await connection.writable(self._stall_timeout)
                if self._promote(connection):
                    if news := self.told.since(told):
                        connection.send(*news)
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

    def post(self, body: Body, origin: str, then: Then, *, remember: bool) -> None:
        """Hand a message to the broker; its author hears it by the same road as everybody else."""
        key = f"{body.user.id}:{body.id}" if remember else None
        self._broker.post(self.name, encode(body), then, origin=origin, key=key, seen=self.feed.position)

    async def history(self, *, after: int | None = None, before: int | None = None, limit: int) -> Page:
        """Return a page of the log, as `Broker.history` does; raises `BrokerUnavailable`."""
        return await self._broker.history(self.name, after=after, before=before, limit=limit)

    def who_is_here(self) -> tuple[list[User], int]:
        """Return the people, or nobody if they are too many to be listed, and how many they are."""
        return self.attendance.roster.listed(), self.attendance.roster.count

    async def typing(self, user: User) -> None:
        """Let everybody know that somebody is writing; raises `BrokerUnavailable`."""
        await self._broker.signal(self.name, Signal(TYPING, "-", encode(user)))
