"""The load of `chat bench` on any server of the comparison, and what it costs that server.

    python -m benchmarks.load --port 8000 --members 1000 in-flight=1 in-flight=8 rate=10

Each phase runs for `--seconds`; see `chat.bench.load.Pace` for what they are. The result is JSON: what connecting
costs, and per phase the CPU time that the processes `--pid` spent per message and per delivery, how fast it was, and
whether every member got each message exactly once, in one order.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import uvloop

from benchmarks.dialects import DIALECTS
from benchmarks.processes import cpu_seconds, family, rss_bytes
from chat.bench.crowd import Address, Crowd
from chat.bench.load import Load, Measured, Pace
from chat.bench.room import Room

SETTLE = 0.5  # seconds for what joining sets off
WARM_UP = 0.5  # seconds of load that are not measured
STALL = 50.0  # ms


class Costs:
    """What processes have spent since it was asked last."""

    def __init__(self, pids: Sequence[int], aside: Sequence[int]) -> None:
        self._groups = [pids, aside]
        self._before = self._now()

    def spent(self) -> tuple[float, float]:
        """Return CPU seconds of the server, and of what is reported apart."""
        before, self._before = self._before, self._now()
        server, aside = (now - then for then, now in zip(before, self._before, strict=True))
        return server, aside

    def _now(self) -> list[float]:
        return [cpu_seconds(pids) for pids in self._groups]


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Connect, let the rooms speak in all phases, and return what was found."""
    dialect = DIALECTS[options.dialect]
    pids = [member for pid in options.pid for member in family(pid)]
    aside = [member for pid in options.aside for member in family(pid)]
    name = f"bench-{time.time_ns():x}"  # so that no run sees another's log
    rooms = [Room(f"{name}-{n}", dialect, size=options.size) for n in range(options.rooms)]
    idle = [Room(f"{name}-idle-{n}", dialect, size=options.size) for n in range(options.idle_rooms)]
    address = Address(f"ws://127.0.0.1:{options.port}")
    crowd = Crowd(address, rooms, tokens=["bench-{n}"])
    others = Crowd(address, idle, tokens=["idle-{n}"])
    costs = Costs(pids, aside)
    try:
        if idle:
            await others.enter(options.idle_members)
        await asyncio.sleep(SETTLE)
        result: dict[str, Any] = {"connect": await _connect(crowd, options.members, pids, costs), "phases": {}}
        gc.collect()
        gc.freeze()
        gc.disable()
        load = Load(crowd)
        for phase in options.phases:
            pace = Pace.parse(phase)
            if pace.kind != "rate":
                await load.warm_up(pace, WARM_UP)
            costs.spent()
            measured = await load.measure(pace, options.seconds)
            result["phases"][phase] = _found(measured, *costs.spent())
        verdict = crowd.judge()
        result |= {"lost": verdict.lost, "doubled": verdict.doubled, "reordered": verdict.reordered}
        result["by_worker"] = dict(Counter(crowd.by_worker()) + Counter(others.by_worker()))
    finally:
        await crowd.leave()
        await others.leave()
    for trouble in (crowd.trouble, others.trouble):
        if trouble is not None:
            raise RuntimeError(str(trouble)) from trouble
    if others.parted or crowd.parted:
        raise RuntimeError(f"connections were lost: {crowd.parted + others.parted}")
    return result


async def _connect(crowd: Crowd, members: int, pids: Sequence[int], costs: Costs) -> dict[str, float]:
    memory = rss_bytes(pids)
    costs.spent()
    await crowd.enter(members)
    busy, _ = costs.spent()
    await asyncio.sleep(SETTLE)
    late, _ = costs.spent()
    count = len(crowd.members)
    return {
        "members": count,
        "per_second": count / crowd.connect_seconds,
        "busy": busy / crowd.connect_seconds,
        "cpu_us": (busy + late) / count * 1e6,
        "rss_kb": (rss_bytes(pids) - memory) / count / 1024,
    }


def _found(measured: Measured, spent: float, aside: float) -> dict[str, float]:
    if not measured.deliveries:
        raise RuntimeError("nothing was delivered")
    return {
        "messages": measured.messages,
        "deliveries": measured.deliveries,
        "seconds": measured.seconds,
        "per_second": measured.deliveries / measured.seconds,
        "cpu_us": spent / measured.deliveries * 1e6,
        "cpu_us_per_message": spent / measured.messages * 1e6,
        "aside_us_per_message": aside / measured.messages * 1e6,
        "load_us": measured.busy * measured.seconds / measured.deliveries * 1e6,
        "load_busy": measured.busy,
        "load_late_ms": measured.late,
        "busy": spent / measured.seconds,
        "p50_ms": measured.percentile(50),
        "p99_ms": measured.percentile(99),
        "max_ms": measured.latencies[-1],
        "stalled": sum(latency > STALL for latency in measured.latencies),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})

    async def found() -> dict[str, Any]:
        return await run(options)

    print(json.dumps(uvloop.run(found())))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Put a chat server under load.")
    parser.add_argument("phases", nargs="+", metavar="in-flight=K|in-turn=K|rate=R")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="plain")
    parser.add_argument("--rooms", type=int, default=1)
    parser.add_argument("--members", type=int, default=1000, help="per room")
    parser.add_argument("--idle-rooms", type=int, default=0, help="rooms in which nobody speaks")
    parser.add_argument("--idle-members", type=int, default=0, help="in each of them")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=3.0, help="per phase")
    parser.add_argument("--pid", type=int, action="append", default=[], help="a process whose CPU time is measured")
    parser.add_argument("--aside", type=int, action="append", default=[], help="one that is reported apart, as Redis")
    parser.add_argument("--core", type=int, help="the one to run on")
    return parser


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whoever started it reads the last line
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
