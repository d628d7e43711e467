"""The load: members in rooms who say something and count what all of them hear.

    python -m benchmarks.load --port 8000 --members 1000 in-flight=1 in-flight=8 rate=10

Each phase runs for `--seconds`: `in-flight=K` keeps K messages per room under way (said by K members in turn, the next
as soon as one is with everybody), `rate=R` says R messages per second and room, come what may. The result is JSON: per
phase the CPU time that the processes `--pid` spent per delivered message, latencies, and whether each member got each
message exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from benchmarks.dialects import DIALECTS, Dialect
from benchmarks.member import Handshake, Member, Sample, client_frame, text_of
from benchmarks.processes import cpu_seconds, family, rss_bytes

SAMPLES = 40  # members whose messages are looked at
OPENING = 50  # connections that are opened at the same time
SETTLE = 0.5  # seconds for what joining sets off
WARM_UP = 0.5  # seconds of load that are not measured
PATIENCE = 20.0  # seconds for what is under way to arrive


class Room:
    """The members of one room, and the messages under way between them."""

    def __init__(self, name: str, dialect: Dialect, *, size: int) -> None:
        self.name = name
        self.members: list[Member] = []
        self.due = sys.maxsize
        self.lacking = 0
        self.sent_at: list[float] = []
        self.quiet = asyncio.Event()  # everything that was sent is with everybody, and nothing more will be sent
        self.trouble = ""
        self._dialect = dialect
        self._size = size
        self._window = 0
        self._until = 0.0
        self._closing = False

    def say(self) -> None:
        """Send one message, each time from another member."""
        number = len(self.sent_at)
        speaker = self.members[number % min(8, len(self.members))]
        frame = client_frame(self._dialect.wrap(self.name, text_of(number, self._size), number))
        self.sent_at.append(time.perf_counter())
        speaker.transport.write(frame)

    def start(self, window: int, *, until: float) -> None:
        """Keep `window` messages under way until that time."""
        self._window = window
        self._until = until
        self.quiet.clear()
        self.advance()

    def advance(self) -> None:
        """Send as many as have arrived; a message has arrived when everybody has it."""
        counts = [member.got for member in self.members]
        arrived = min(counts)
        if time.perf_counter() < self._until:
            while len(self.sent_at) - arrived < self._window:
                self.say()
        self.due = arrived + 1
        self.lacking = counts.count(arrived)
        if arrived >= len(self.sent_at):
            self.quiet.set()

    def lost(self, reason: str) -> None:
        if not self._closing:
            self.trouble = self.trouble or reason
            self.quiet.set()

    def close(self) -> None:
        self._closing = True
        for member in self.members:
            member.transport.abort()


class Load:
    """Everybody in every room."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._dialect = DIALECTS[options.dialect]
        run = f"{time.time_ns():x}"  # so that no run sees another's log
        self.rooms = [Room(f"bench-{run}-{n}", self._dialect, size=options.size) for n in range(options.rooms)]
        self._pids = [member for pid in options.pid for member in family(pid)]
        self._aside = [member for pid in options.aside for member in family(pid)]

    async def run(self) -> dict[str, Any]:
        options = self._options
        result: dict[str, Any] = {"connect": await self._measured_connect()}
        await asyncio.sleep(SETTLE)
        self._begin_counting()
        gc.collect()
        gc.disable()
        result["phases"] = {}
        for phase in options.phases:
            kind, _, value = phase.partition("=")
            run = self._closed if kind == "in-flight" else self._open
            if kind == "in-flight":
                await run(float(value), WARM_UP)
            result["phases"][phase] = await self._measured(run, float(value))
        result["lost"], result["doubled"] = self._lost_and_doubled()
        result["one_order"] = self._one_order()
        for room in self.rooms:
            room.close()
        return result

    async def _measured_connect(self) -> dict[str, float]:
        memory, cpu, start = rss_bytes(self._pids), cpu_seconds(self._pids), time.perf_counter()
        await self._connect()
        seconds = time.perf_counter() - start
        await asyncio.sleep(SETTLE)
        count = sum(len(room.members) for room in self.rooms)
        return {
            "members": count,
            "per_second": count / seconds,
            "cpu_us": (cpu_seconds(self._pids) - cpu) / count * 1e6,
            "rss_kb": (rss_bytes(self._pids) - memory) / count / 1024,
        }

    async def _connect(self) -> None:
        places = [(room, number) for number in range(self._options.members) for room in self.rooms]
        every = max(len(places) // SAMPLES, 1)
        queue = [(room, number, index % every == every - 1) for index, (room, number) in enumerate(places)]
        queue.reverse()

        async def open_next() -> None:
            while queue:
                await self._open_member(*queue.pop())

        await asyncio.gather(*[open_next() for _ in range(OPENING)])

    async def _open_member(self, room: Room, number: int, sample: bool) -> None:
        member = (Sample if sample else Member)(room)
        dialect = self._dialect
        target = dialect.path(room.name, number)
        hello = b"".join([client_frame(payload) for payload in dialect.hello(room.name)])
        _, handshake = await asyncio.get_running_loop().create_connection(
            lambda: Handshake(target, member, subprotocol=dialect.subprotocol, hello=hello),
            "127.0.0.1",
            self._options.port,
        )
        room.members.append(await asyncio.wait_for(handshake.opened, PATIENCE))

    def _begin_counting(self) -> None:
        """Forget what joining has brought, such as the news of who else is there."""
        for room in self.rooms:
            for member in room.members:
                member.got = 0

    async def _measured(self, run: Any, value: float) -> dict[str, float]:
        sent = self._sent()
        for sample in self._samples():
            sample.latencies.clear()
        before = cpu_seconds(self._pids), cpu_seconds(self._aside), time.process_time(), time.perf_counter()
        await run(value, self._options.seconds)
        after = cpu_seconds(self._pids), cpu_seconds(self._aside), time.process_time(), time.perf_counter()
        spent, aside, load, seconds = [b - a for a, b in zip(before, after, strict=True)]
        messages = self._sent() - sent
        deliveries = messages * self._options.members
        latencies = sorted(latency for sample in self._samples() for latency in sample.latencies)
        return {
            "messages": messages,
            "deliveries": deliveries,
            "seconds": seconds,
            "cpu_us": spent / deliveries * 1e6,
            "aside_us_per_message": aside / messages * 1e6,
            "load_us": load / deliveries * 1e6,
            "busy": spent / seconds,
            "p50_ms": statistics.median(latencies) * 1e3,
            "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        }

    async def _closed(self, window: float, seconds: float) -> None:
        until = time.perf_counter() + seconds
        for room in self.rooms:
            room.start(int(window), until=until)
        await self._until_quiet(seconds)

    async def _open(self, rate: float, seconds: float) -> None:
        # The rooms take turns, so that they do not all speak at once.
        steps = int(rate * seconds) * len(self.rooms)
        start = time.perf_counter()
        for step in range(steps):
            await asyncio.sleep(max(start + step * seconds / steps - time.perf_counter(), 0))
            self.rooms[step % len(self.rooms)].say()
        await self._closed(0, 0)

    async def _until_quiet(self, seconds: float) -> None:
        """Wait until everything has arrived; raises `RuntimeError` if it does not, or a connection was lost."""
        deadline = time.perf_counter() + seconds + PATIENCE
        for room in self.rooms:
            try:
                await asyncio.wait_for(room.quiet.wait(), deadline - time.perf_counter())
            except TimeoutError:
                missing = sum(len(room.sent_at) - member.got for member in room.members)
                raise RuntimeError(f"{room.name}: {missing} deliveries did not arrive") from None
            if room.trouble:
                raise RuntimeError(f"{room.name}: {room.trouble}")

    def _sent(self) -> int:
        return sum(len(room.sent_at) for room in self.rooms)

    def _samples(self) -> list[Sample]:
        return [member for room in self.rooms for member in room.members if isinstance(member, Sample)]

    def _lost_and_doubled(self) -> tuple[int, int]:
        """Return how many deliveries are missing, and how many came once too often."""
        differences = [member.got - len(room.sent_at) for room in self.rooms for member in room.members]
        return -sum(d for d in differences if d < 0), sum(d for d in differences if d > 0)

    def _one_order(self) -> bool:
        """Return whether the samples of each room saw the same messages in the same order."""
        return all(
            len({tuple(member.numbers) for member in room.members if isinstance(member, Sample)}) <= 1
            for room in self.rooms
        )


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for phase in options.phases:
        if phase.partition("=")[0] not in {"in-flight", "rate"}:
            raise SystemExit(f"expected in-flight=K or rate=R, got {phase}")
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    print(json.dumps(_run(options)))


def _run(options: argparse.Namespace) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return await Load(options).run()

    return uvloop.run(run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Put a chat server under load.")
    parser.add_argument("phases", nargs="+", metavar="in-flight=K|rate=R")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="plain")
    parser.add_argument("--rooms", type=int, default=1)
    parser.add_argument("--members", type=int, default=1000, help="per room")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=3.0, help="per phase")
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process whose CPU time is measured")
    parser.add_argument("--aside", type=int, action="append", default=[], help="one that is reported apart, as Redis")
    parser.add_argument("--core", type=int, help="the one to run on")
    return parser


if __name__ == "__main__":
    main()
