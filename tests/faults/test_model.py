"""Whatever hypothesis thinks of: members come and go, stop reading and read on, while the broker loses what it can."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chat.codec import ChatV1
from chat.connection import Connection
from chat.events import Position
from chat.exceptions import BrokerUnavailable
from chat.protocol import Ack, User, Welcome
from chat.room import Room
from chat.roster import People
from chat.settings import Settings
from tests.checker import History, Place, Visit, violations
from tests.faults.scripted import ScriptedBroker, ScriptedTransport, SkippingLoop, Store, position_of

WORKERS = 2
NAMES = ["ann", "bob", "cid", "dan"]
NEWEST = 5  # messages that are replayed to who comes without `since`
LIMIT = 600  # bytes that may wait for a member: some five messages

workers = st.integers(0, WORKERS - 1)
names = st.sampled_from(NAMES)


class Member:
    """A client that is connected, and where."""

    def __init__(self, worker: int, visit: Visit, transport: ScriptedTransport, connection: Connection) -> None:
        self.worker = worker
        self.visit = visit
        self.transport = transport
        self.connection = connection


class RoomLife(RuleBasedStateMachine):
    """One room on two workers; each client is in it once at most."""

    @initialize(seed=st.integers(0, 1000))
    def open(self, seed: int) -> None:
        self.loop = SkippingLoop()
        self.history = History()
        self.store = Store()
        self.members: dict[str, Member] = {}
        self.visits: dict[str, list[Visit]] = {name: [] for name in NAMES}
        self.said: dict[str, list[str]] = {name: [] for name in NAMES}  # message ids
        self.enrolling = [asyncio.Lock() for _ in range(WORKERS)]
        self.tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []
        self.numbers = itertools.count(1)
        self.brokers: list[ScriptedBroker] = []
        self.rooms: list[Room] = []
        self.run(self._open(random.Random(seed)))

    async def _open(self, rand: random.Random) -> None:
        for number in range(WORKERS):
            broker = ScriptedBroker(self.store, self.brokers, rand)
            self.brokers.append(broker)
            room = Room(
                "room",
                broker,
                worker=f"w{number}",
                settings=Settings(stall_timeout=0),
                own=partial(self._here, number),
                spawn=self.spawn,
            )
            self.rooms.append(room)
            await room.open()
            self.spawn(_follow(room, broker))

    def _people_on(self, worker: int) -> Callable[[], list[User]]:
        return lambda: [member.connection.user for member in self.members.values() if member.worker == worker]

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(coroutine)
        assert self.failures == []

    def do(self, call: Callable[[], None]) -> None:
        """Call it where there is a running loop."""

        async def step() -> None:
            call()

        self.run(step())

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    # --- members ---

    @rule(name=names, worker=workers, reading=st.booleans())
    def come(self, name: str, worker: int, reading: bool = True) -> None:
        """Join or come back, from where the client got to, whatever the other worker thinks of it."""
        if name not in self.members:
            with suppress(BrokerUnavailable):
                self.run(self._join(name, worker, reading))

    async def _join(self, name: str, worker: int, reading: bool) -> None:
        room = self.rooms[worker]
        at: Place | None = position_of(self.visits[name])
        start = await room.start(at and Position(*at), newest=NEWEST)
        visit = self.history.visit(name, since=at, newest=NEWEST)
        self.visits[name].append(visit)
        transport = ScriptedTransport(visit, reading=reading)
        connection = Connection(
            f"w{worker}-{next(self.numbers)}",
            User(name, name),
            home=room,
            codec=ChatV1(),
            transport=transport,
            receive=_nothing,
            stopping=_ignore,
        )
        transport.attach(connection, limit=LIMIT)
        room.join(connection, start, greet=_greet)
        self.members[name] = Member(worker, visit, transport, connection)
        self.spawn(self._enrol(worker, People(f"w{worker}", joined=[connection.user])))
        acknowledged = {e["id"] for visit in self.visits[name] for e in visit.events if e["type"] == "ack"}
        for id in self.said[name]:
            if id not in acknowledged:
                self.spawn(self._publish(name, id))

    @rule(name=names)
    def go(self, name: str) -> None:
        """Lose the connection, and what was not read."""
        if (member := self.members.pop(name, None)) is not None:
            self.do(lambda: self._leave(member))

    def _leave(self, member: Member) -> None:
        self.rooms[member.worker].leave(member.connection)
        member.transport.close(1006, "")
        member.connection.closed()
        self.spawn(self._enrol(member.worker, People(f"w{member.worker}", left=[member.connection.user.id])))

    async def _enrol(self, worker: int, people: People) -> None:
        """Tell the broker who came and went, one after the other, and until it knows."""
        async with self.enrolling[worker]:
            while True:
                with suppress(BrokerUnavailable):
                    await self.brokers[worker].enrol("room", self._settled(worker, people))
                    return
                await asyncio.sleep(0.1)

    def _here(self, worker: int) -> list[User]:
        return [member.connection.user for member in self.members.values() if member.worker == worker]

    def _settled(self, worker: int, people: People) -> People:
        """Return what is still so."""
        here = {name for name, member in self.members.items() if member.worker == worker}
        return People(
            people.worker,
            [user for user in people.joined if user.id in here],
            [id for id in people.left if id not in here],
        )

    @rule(name=names)
    def stall(self, name: str) -> None:
        if name in self.members:
            self.members[name].transport.reading = False

    @rule(name=names, count=st.integers(1, 8))
    def read_some(self, name: str, count: int) -> None:
        if name in self.members:
            self.do(lambda: self.members[name].transport.read(count))

    @rule(name=names)
    def read_on(self, name: str) -> None:
        if name in self.members:
            self.members[name].transport.reading = True
            self.do(lambda: self.members[name].transport.read(1_000_000))

    @rule(name=names, count=st.integers(1, 12))
    def talk(self, name: str, count: int) -> None:
        """Say several things at once; what is not acknowledged is said again after the next welcome."""
        for _ in range(count if name in self.members else 0):
            id = f"{name}-{next(self.numbers)}"
            self.said[name].append(id)
            self.spawn(self._publish(name, id))

    async def _publish(self, name: str, id: str) -> None:
        member = self.members.get(name)
        if member is None:
            return
        with suppress(BrokerUnavailable):
            receipt = await member.connection.publish(f"text of {id}", id=id)
            member.connection.send_soon(Ack(id, receipt.epoch, receipt.offset, receipt.duplicate))

    # --- the broker ---

    @rule(worker=workers)
    def the_broker_goes_away(self, worker: int) -> None:
        self.brokers[worker].go_away()

    @rule(worker=workers)
    def the_broker_comes_back(self, worker: int) -> None:
        self.brokers[worker].come_back()

    @rule(worker=workers, count=st.integers(1, 3))
    def live_events_get_lost(self, worker: int, count: int) -> None:
        self.brokers[worker].losing = count

    @rule(worker=workers)
    def live_events_are_late(self, worker: int) -> None:
        self.brokers[worker].holding = True

    @rule(worker=workers)
    def live_events_arrive(self, worker: int) -> None:
        self.brokers[worker].release()

    @rule(count=st.integers(1, 20))
    def the_log_is_trimmed(self, count: int) -> None:
        self.store.trim(count)

    @precondition(lambda self: self.history.epochs_lost < 2)
    @rule()
    def the_store_is_emptied(self) -> None:
        """All lose their link, and with it what was under way."""
        self.history.epochs_lost += 1
        self.history.retained_then[self.store.epoch] = len(self.store.kept)
        for broker in self.brokers:
            broker.go_away()
        self.store.empty()
        for number, broker in enumerate(self.brokers):
            broker.come_back()
            self.spawn(self._enrol(number, People(f"w{number}", joined=self._here(number))))

    @rule(seconds=st.sampled_from([0, 0.001, 0.06, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # --- the end ---

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self._calm_down()
            self.history.retained = self.store.offset - self.store.kept[0].offset + 1
            assert violations(self.history) == []
        finally:
            for task in list(self.tasks):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(1))
            self.loop.close()

    def _calm_down(self) -> None:
        for broker in self.brokers:
            broker.losing = 0
            broker.release()
            broker.come_back()
        self.run(asyncio.sleep(5))
        for number, name in enumerate(NAMES):
            self.come(name, number % WORKERS)
            self.read_on(name)
        self.run(asyncio.sleep(5))
        self.talk(NAMES[0], 1)
        self.run(asyncio.sleep(5))
        assert set(self.members) == set(NAMES)
        for name, member in self.members.items():
            assert member.connection.live, name
            self.history.stayed.add(name)
            states = [event["state"] for event in member.visit.events if event["type"] == "status"]
            assert states[-1:] in ([], ["ok"]), f"{name} was told {states}"
            assert _people(member.visit) == set(NAMES), f"{name} knows of {_people(member.visit)}"


async def _follow(room: Room, broker: ScriptedBroker) -> None:
    while True:
        room.take(await broker.next_event())


def _people(visit: Visit) -> set[str]:
    """Return who is here, as far as it was told on this connection."""
    here: set[str] = set()
    for event in visit.events:
        if event["type"] == "welcome":
            here = {user["id"] for user in event["members"]}
        elif event["type"] == "presence":
            here |= {user["id"] for user in event["joined"]}
            here -= {user["id"] for user in event["left"]}
    return here


def _greet(room: Room, connection: Connection, recovered: bool) -> Welcome:
    members, count = list(room.told.people.values()), room.told.count
    if connection.user not in members:  # told to the others in a moment
        members, count = [*members, connection.user], count + 1
    epoch, offset = room.feed.position
    return Welcome("room", connection.user, connection.id, epoch, offset, recovered, members, count, {}, 25)


async def _nothing() -> None:
    await asyncio.Event().wait()


def _ignore(connection: Connection) -> None:
    pass


RoomLife.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_a_room_keeps_its_promises = RoomLife.TestCase


class LongerRoomLife(RoomLife):
    """The same, for longer."""


LongerRoomLife.TestCase.settings = settings(max_examples=2000, stateful_step_count=80, deadline=None)
test_a_room_keeps_its_promises_for_long = pytest.mark.slow(pytest.mark.timeout(1200)(LongerRoomLife.TestCase))
