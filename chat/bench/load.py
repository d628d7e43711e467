"""A load: what is said how fast, and what it was measured to be."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from chat.bench.crowd import Crowd
from chat.bench.latency import percentile

PATIENCE = 5.0  # seconds without any delivery after which what is still under way counts as lost
SAMPLES = 100  # members whose latencies are kept when nobody knows how many deliveries there will be
KEPT = 2_000_000  # latencies that are kept when it is known
LOOK = 0.005  # seconds between looks at whether we ourselves are late
SHOWN = 1000  # latencies that are looked at for one line of progress


@dataclass(frozen=True)
class Pace:
    """How fast is spoken.

    `in-flight`: so many messages are under way in each room, the next is said when the first is with everybody;
    `in-turn`: so many over all rooms, one room after the other; `rate`: so many a second in each room, come what may.
    """

    kind: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Pace:
        """Return the pace that is written `kind=value`; raises `ValueError`."""
        kind, _, value = text.partition("=")
        if kind not in ("in-flight", "in-turn", "rate") or float(value) <= 0:
            raise ValueError(f"expected in-flight=K, in-turn=K or rate=R, got {text}")
        return cls(kind, float(value))

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"


@dataclass(frozen=True)
class Progress:
    """What is to be seen while it lasts; of the last second."""

    elapsed: float
    connected: int
    deliveries: float  # per second
    p99: float  # ms


@dataclass
class Measured:
    """What one phase came to."""

    seconds: float = 0.0
    messages: int = 0
    deliveries: int = 0
    latencies: list[float] = field(default_factory=list)  # ms, sorted
    sampled: int = 0  # members whose latencies these are
    late: float = 0.0  # ms, the longest that this process itself was late
    busy: float = 0.0  # share of a core that this process took

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latencies, in ms."""
        return percentile(self.latencies, percent)


class Load:
    """Makes a crowd speak."""

    def __init__(self, crowd: Crowd, *, notice: Callable[[Progress], None] = lambda progress: None) -> None:
        self._crowd = crowd
        self._rooms = [room for room in crowd.rooms if room.members]
        self._notice = notice
        self._late = 0.0

    async def warm_up(self, pace: Pace, seconds: float) -> None:
        """Speak without measuring, and wait until everything has arrived; raises what ended it."""
        await self._run(pace, seconds)
        self._raise_trouble()

    async def measure(self, pace: Pace, seconds: float) -> Measured:
        """Speak for so long, or until the crowd's `over` is set, wait for what is under way, and tell what came."""
        sampled = self._sample(pace, seconds)
        result = Measured(sampled=sampled)
        sent, delivered, self._late = self._sent(), self._delivered(), 0.0
        cpu, start = time.process_time(), time.perf_counter()
        async with self._watching():
            await self._run(pace, seconds)
        result.seconds = time.perf_counter() - start
        result.busy = (time.process_time() - cpu) / result.seconds
        result.messages = self._sent() - sent
        result.deliveries = self._delivered() - delivered
        result.latencies = sorted([value * 1e3 for room in self._rooms for value in room.latencies])
        result.late = self._late * 1e3
        return result

    def _raise_trouble(self) -> None:
        if self._crowd.trouble is not None:
            raise self._crowd.trouble

    def _sample(self, pace: Pace, seconds: float) -> int:
        """Choose whose latencies are kept, evenly: all of them if that is not too much; returns how many."""
        members = [member for room in self._rooms for member in room.members]
        if pace.kind == "rate":
            deliveries = pace.value * seconds * len(members)
            step = max(round(deliveries / KEPT), 1)
        else:
            step = max(len(members) // SAMPLES, 1)
        for place, member in enumerate(members):
            member.sampled = place % step == step - 1
        for room in self._rooms:
            del room.latencies[:]
        return sum([member.sampled for member in members])

    async def _run(self, pace: Pace, seconds: float) -> None:
        speak = {"in-flight": self._in_flight, "in-turn": self._in_turn, "rate": self._at_a_rate}[pace.kind]
        until = time.perf_counter() + seconds
        await speak(pace.value, until)
        for room in self._rooms:
            room.stop()
        await self._quiet()

    async def _in_flight(self, window: float, until: float) -> None:
        for room in self._rooms:
            room.start(int(window), until=until)
        await self._until(until)

    async def _in_turn(self, window: float, until: float) -> None:
        turns = itertools.cycle(self._rooms)

        def next_room() -> None:
            if time.perf_counter() < until:
                next(turns).say_one()

        for room in self._rooms:
            room.then = next_room
        for _ in range(min(int(window), len(self._rooms))):
            next_room()
        await self._until(until)

    async def _at_a_rate(self, rate: float, until: float) -> None:
        # The rooms take turns, so that they do not all speak at once.
        start = time.perf_counter()
        interval = 1 / (rate * len(self._rooms))
        for step in itertools.count():
            due = start + step * interval
            if due >= until or self._crowd.over.is_set():
                break
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            room = self._rooms[step % len(self._rooms)]
            room.quiet.clear()
            room.say()
        await self._until(until)

    async def _until(self, until: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._crowd.over.wait(), max(until - time.perf_counter(), 0))

    async def _quiet(self) -> None:
        """Wait until everything has arrived; give it up when nothing has come for a while, and nobody is on the way."""
        delivered, deadline = self._delivered(), time.perf_counter() + PATIENCE
        for room in self._rooms:
            room.advance()
            while not room.quiet.is_set() and self._crowd.trouble is None and time.perf_counter() < deadline:
                with suppress(TimeoutError):
                    await asyncio.wait_for(room.quiet.wait(), 0.1)
                if self._delivered() > delivered or self._crowd.connected < len(self._crowd.members):
                    delivered, deadline = self._delivered(), time.perf_counter() + PATIENCE

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """See to it, while the block lasts, that progress is told and that our own lateness is known."""
        tasks = [asyncio.create_task(self._tell()), asyncio.create_task(self._look_at_ourselves())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self) -> None:
        start = then = time.perf_counter()
        delivered, marks = self._delivered(), self._marks()
        while True:
            await asyncio.sleep(1)
            now, before, marks_before = time.perf_counter(), delivered, marks
            delivered, marks = self._delivered(), self._marks()
            fresh = [
                value for room, mark in zip(self._rooms, marks_before, strict=True) for value in room.latencies[mark:]
            ]
            fresh = sorted(fresh[:: len(fresh) // SHOWN + 1])
            self._notice(
                Progress(
                    now - start, self._crowd.connected, (delivered - before) / (now - then), percentile(fresh, 99) * 1e3
                )
            )
            then = now

    async def _look_at_ourselves(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LOOK)
            self._late = max(self._late, time.perf_counter() - before - LOOK)

    def _marks(self) -> list[int]:
        return [len(room.latencies) for room in self._rooms]

    def _sent(self) -> int:
        return sum([len(room.sent_at) for room in self._rooms])

    def _delivered(self) -> int:
        return sum([room.delivered() for room in self._rooms])
