"""The command `chat bench`: its options, its progress, its exit code."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop

from chat.bench.advice import refusal
from chat.bench.crowd import Address, Crowd
from chat.bench.dialect import CHAT_V1
from chat.bench.load import Load, Measured, Pace, Progress
from chat.bench.report import Report, progress_line
from chat.bench.room import SPEAKERS, Room
from chat.exceptions import LoadRefused
from chat.protocol import ErrorCode

SPARE_FILES = 50  # open files that are no member's

DESCRIPTION = """
Connect members to rooms of a running server, let them speak, and measure what it takes until everybody has heard it.
Checks that every member got every message once, in one order. By default all members are different people, named by
tokens bench-0, bench-1, …, which a server without CHAT_SECRET_KEY accepts.
"""
EPILOG = """
Exit codes: 0 every member got everything once, in one order; 1 something was lost, doubled or reordered; 2 wrong
options, or the server does not take the load; 130 interrupted, with what was measured until then.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a parser read what `run` wants."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8000", metavar="URL", help="default: %(default)s")
    parser.add_argument("--rooms", type=_whole, default=1, metavar="N", help="default: 1")
    parser.add_argument("--members", type=_whole, default=100, metavar="N", help="in each room (default: 100)")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--rate", type=_positive, metavar="R", help="messages a second in each room (default: 10)")
    speed.add_argument(
        "--in-flight", type=_whole, metavar="K", help="instead of a rate: so many messages under way in each room"
    )
    parser.add_argument("--size", type=_whole, default=100, metavar="N", help="characters of a message (default: 100)")
    parser.add_argument("--duration", type=_positive, default=10.0, metavar="S", help="seconds (default: 10)")
    parser.add_argument("--warmup", type=_not_negative, default=1.0, metavar="S", help="seconds before (default: 1)")
    parser.add_argument(
        "--token",
        action="append",
        metavar="TOKEN",
        help="credential of a member, {n} stands for its number; may be repeated, then members take turns",
    )
    parser.add_argument("--prefix", default="bench", help="how the rooms' names begin (default: bench)")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; - for standard output")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the latencies")
    parser.add_argument("--quiet", action="store_true", help="no progress, no report; the exit code tells")


def run(options: argparse.Namespace) -> int:
    """Carry the load out; returns the exit code. Raises `LoadRefused` if the server does not take it."""
    _allow_files(options.rooms * options.members + SPARE_FILES)
    for file in (options.json, options.plot):
        if file and file != "-" and not Path(file).absolute().parent.is_dir():
            raise LoadRefused(f"there is no folder for {file}")  # before the load, not after it

    async def run() -> Report:
        return await _bench(options)

    report = uvloop.run(run())
    if options.json:
        text = json.dumps(report.as_json(), indent=2) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text)
    if options.plot:
        Path(options.plot).write_text(report.plot())
    if not options.quiet and options.json != "-":
        sys.stdout.write(report.text())
    if report.interrupted:
        return 130
    return 0 if report.sound else 1


async def _bench(options: argparse.Namespace) -> Report:
    address = Address(options.url)
    pace = Pace("in-flight", options.in_flight) if options.in_flight else Pace("rate", options.rate or 10.0)
    run = f"{time.time_ns():x}"  # so that no run sees another's log
    rooms = [Room(f"{options.prefix}-{run}-{n}", CHAT_V1, size=options.size) for n in range(options.rooms)]
    crowd = Crowd(address, rooms, tokens=options.token or ["bench-{n}"])
    told = _Progress(quiet=options.quiet)
    with _interruptible(crowd):
        try:
            await told.connecting(crowd, options.rooms * options.members, crowd.enter(options.members))
            if not crowd.over.is_set():
                _check_limits(crowd, pace, options)
            load = Load(crowd, notice=told.measuring)
            measured = await _measure(load, crowd, pace, options)
        finally:
            told.end()
            await crowd.leave()
    if crowd.trouble is not None and isinstance(crowd.trouble, LoadRefused):
        raise crowd.trouble
    return Report(
        what=f"{address}: {_in_words(pace, options)}",
        options={**_options(options), "url": str(address), "pace": str(pace)},
        members=len(crowd.members),
        connect_seconds=crowd.connect_seconds,
        by_worker=crowd.by_worker(),
        measured=measured,
        verdict=crowd.judge(),
        gaps=sum(room.gaps for room in rooms),
        unavailable=sum(room.unavailable for room in rooms),
        parted=crowd.parted,
        returned=crowd.returned,
        interrupted=crowd.over.is_set() and crowd.trouble is None,
        trouble=str(crowd.trouble or ""),
    )


async def _measure(load: Load, crowd: Crowd, pace: Pace, options: argparse.Namespace) -> Measured:
    if options.warmup and not crowd.over.is_set():
        with suppress(ConnectionError):  # who did not come back is told of in the report
            await load.warm_up(pace, options.warmup)
    if crowd.over.is_set():
        return Measured()
    # Nothing here makes cycles; a collection would only be measured as the server's latency.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return await load.measure(pace, options.duration)
    finally:
        gc.enable()
        gc.unfreeze()


def _check_limits(crowd: Crowd, pace: Pace, options: argparse.Namespace) -> None:
    """Raise `LoadRefused` if the server has said by `welcome` that it would not take this."""
    limits = crowd.rooms[0].limits
    length, rate = limits.get("text_length", 0), limits.get("rate", 0)
    if options.size > length > 0:
        raise refusal(ErrorCode.TOO_LONG, f"the server takes texts of up to {length} characters")
    speakers = min(SPEAKERS, options.members)
    if pace.kind == "rate" and pace.value / speakers > rate > 0:
        said = f"the server takes {rate} messages a second from one member, and {speakers} members of a room speak"
        raise refusal(ErrorCode.RATE_LIMITED, said)


@contextmanager
def _interruptible(crowd: Crowd) -> Iterator[None]:
    """Let Ctrl-C end the load in good order; a second one ends the process as usual."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        crowd.over.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class _Progress:
    """One line on standard error: written over on a terminal, else a new one each second."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()

    async def connecting(self, crowd: Crowd, wanted: int, entering: object) -> None:
        task = asyncio.ensure_future(entering)  # type: ignore[call-overload]
        while not task.done():
            await asyncio.wait([task], timeout=1)
            if not task.done():
                self._write(f"connected {crowd.connected:,} of {wanted:,}")
        await task

    def measuring(self, progress: Progress) -> None:
        self._write(progress_line(progress))

    def end(self) -> None:
        if self._terminal and not self._quiet:
            sys.stderr.write("\r\x1b[K")

    def _write(self, line: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
            sys.stderr.flush()


def _allow_files(wanted: int) -> None:
    """Raise this process' own limit of open files as far as it may; raises `LoadRefused` if that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise LoadRefused(f"this takes {wanted:,} open files, and {hard:,} are allowed here; see `ulimit -Hn`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _in_words(pace: Pace, options: argparse.Namespace) -> str:
    rooms = f"{options.rooms:,} room{'s' if options.rooms > 1 else ''} × {options.members:,}"
    speed = f"{pace.value:g} messages/s per room" if pace.kind == "rate" else f"{pace.value:g} in flight per room"
    return f"{rooms}, {speed}, {options.size:,} characters, {options.duration:g} s"


def _options(options: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(options, name) for name in ("rooms", "members", "size", "duration", "warmup")}


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return int(text)


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _not_negative(text: str) -> float:
    if not 0 <= (value := float(text)) < 1e9:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return value
