"""One load on one server: starts Redis and the server, puts it under load, stops both."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import free_port, started
from benchmarks.servers import Server

PATIENCE = 240  # seconds for one load
STARTED = "Application startup complete"  # what one of our workers logs


@dataclass(frozen=True)
class Shape:
    """Who is there: rooms in which is spoken, and rooms in which nobody speaks."""

    rooms: int
    members: int  # in each
    idle_rooms: int = 0
    idle_members: int = 0  # in each


def put_under_load(
    server: Server, folder: Path, phases: Sequence[str], *, shape: Shape, seconds: float, workers: int = 1
) -> dict[str, Any]:
    """Return what `benchmarks.load` found out; raises `RuntimeError` if it could not be done.

    The server is on one core; load and Redis are on another one. More workers than one may use all cores.
    """
    allow_files()
    measured, other = cores()
    port = free_port()
    with redis(folder, core=other) as (redis_url, redis_pid):
        command = server.command(port, redis_url)
        expected = None
        if workers > 1:
            command = [*command, "--workers", str(workers)]
            expected = (STARTED, workers)
        core = measured if workers == 1 else None
        log = folder / "server.log"
        with started(command, port=port, core=core, env=server.env, log=log, expected=expected) as pid:
            options = {"port": port, "dialect": server.dialect, "pid": pid, "aside": redis_pid, "core": other}
            options |= {**asdict(shape), "seconds": seconds}
            words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
            load = subprocess.run(
                [sys.executable, "-m", "benchmarks.load", *words, *phases],
                check=False,
                capture_output=True,
                text=True,
                timeout=PATIENCE + seconds * len(phases),
            )
    if load.returncode:
        raise RuntimeError(load.stderr)
    result: dict[str, Any] = json.loads(load.stdout)
    return result


@contextmanager
def redis(folder: Path, *, core: int) -> Iterator[tuple[str, int]]:
    """Run a Redis that keeps nothing until the block ends; yields its address and process id."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with started(command, port=port, core=core, log=folder / "redis.log") as pid:
        yield f"redis://127.0.0.1:{port}/0", pid


def cores() -> tuple[int, int]:
    """Return a core for the server, and another for everything else if there is one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def allow_files() -> None:
    """Let this process, and those it starts, open as many files as they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_in_good_order() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that what it started ends as well."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def last_line(error: Exception) -> str:
    """Return what an error says at its end; the lines before may be a log."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
