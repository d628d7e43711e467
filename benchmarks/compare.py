"""Compares servers in one run, in turn, and writes what came out into docs/performance.md.

    python -m benchmarks.compare                     everything that can be run here
    python -m benchmarks.compare bare tutorial chat --rounds 5 --quick

Each round starts every server once, pinned to one core, with the load and Redis on the other. The figures are medians
over the rounds; ratios are medians of the ratios within a round, so a machine that is slow for a while does no harm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.processes import free_port, started
from benchmarks.servers import SERVERS, Server

ROOT = Path(__file__).parent.parent
PATIENCE = 180  # seconds for one load

Figures = dict[str, float]  # what one round found out about one server, by the report's names


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    names = options.servers or list(SERVERS)
    skipped = {name: reason for name in names if (reason := SERVERS[name].missing())}
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    names = [name for name in names if name not in skipped]
    rounds, failed = compare(names, rounds=options.rounds, seconds=options.seconds, quick=options.quick)
    text = report.text(rounds, names, skipped={**skipped, **failed}, command=_command(options))
    print(text)
    if options.write:
        report.write(ROOT / "docs" / "performance.md", text)
    return 1 if failed else 0


def compare(
    names: Sequence[str], *, rounds: int, seconds: float, quick: bool, members: int = 1000
) -> tuple[list[dict[str, Figures]], dict[str, str]]:
    """Measure servers in turn; returns what each round found out about each, and who failed with which complaint."""
    found: list[dict[str, Figures]] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for number in range(rounds):
            found.append({})
            for name in names:
                if name in failed:
                    continue
                try:
                    figures = _measure(SERVERS[name], Path(folder), seconds=seconds, quick=quick, members=members)
                except (RuntimeError, subprocess.SubprocessError) as error:
                    failed[name] = _last_line(error)
                    print(f"{name} failed: {error}", file=sys.stderr)
                else:
                    found[-1][name] = figures
                    print(f"round {number + 1} {name}: {report.line(figures)}", file=sys.stderr)
    return found, failed


def _measure(server: Server, folder: Path, *, seconds: float, quick: bool, members: int) -> Figures:
    phases = ["in-flight=1", "in-flight=8"] if quick else ["in-flight=1", "in-flight=8", "rate=10"]
    one_room = _load(server, folder, phases, rooms=1, members=members, seconds=seconds)
    figures = {
        "one": one_room["phases"]["in-flight=1"]["cpu_us"],
        "eight": one_room["phases"]["in-flight=8"]["cpu_us"],
        "kb": one_room["connect"]["rss_kb"],
        "connect": 1e6 / one_room["connect"]["cpu_us"],
        "lost": one_room["lost"],
        "one_order": one_room["one_order"],
    }
    if server.redis:
        figures["redis"] = one_room["phases"]["in-flight=8"]["aside_us_per_message"]
    if not quick:
        figures["p99"] = one_room["phases"]["rate=10"]["p99_ms"]
        figures |= _measure_rooms(server, folder, seconds=seconds, rooms=members // 5)
    return figures


def _measure_rooms(server: Server, folder: Path, *, seconds: float, rooms: int) -> Figures:
    """Return what many small rooms cost, or nothing if the server cannot have them: then the table shows a dash."""
    try:
        many = _load(server, folder, ["in-flight=1"], rooms=rooms, members=5, seconds=seconds)
    except RuntimeError as error:
        print(f"{server.label} fails with {rooms} rooms: {_last_line(error)}", file=sys.stderr)
        return {}
    return {"rooms": many["phases"]["in-flight=1"]["cpu_us"], "lost_in_rooms": many["lost"]}


def _load(
    server: Server, folder: Path, phases: Sequence[str], *, rooms: int, members: int, seconds: float
) -> dict[str, Any]:
    """Start Redis and the server, put it under load, and stop both."""
    measured, other = cores()
    port = free_port()
    with _redis(folder, core=other) as (redis_url, redis_pid):
        command = server.command(port, redis_url)
        with started(command, port=port, core=measured, env=server.env, log=folder / "server.log") as pid:
            options = {"port": port, "dialect": server.dialect, "pid": pid, "aside": redis_pid}
            options |= {"core": other, "rooms": rooms, "members": members, "seconds": seconds}
            words = [f"--{name}={value}" for name, value in options.items()]
            load = subprocess.run(
                [sys.executable, "-m", "benchmarks.load", *words, *phases],
                check=False,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
    if load.returncode:
        raise RuntimeError(load.stderr)
    result: dict[str, Any] = json.loads(load.stdout)
    return result


@contextmanager
def _redis(folder: Path, *, core: int) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with started(command, port=port, core=core, log=folder / "redis.log") as pid:
        yield f"redis://127.0.0.1:{port}/0", pid


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def cores() -> tuple[int, int]:
    """Return a core for the server, and another for everything else if there is one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def _command(options: argparse.Namespace) -> str:
    words = [
        "python -m benchmarks.compare",
        *options.servers,
        f"--rounds {options.rounds} --seconds {options.seconds:g}",
    ]
    return " ".join(words + ["--quick"] * options.quick + ["--write"] * options.write)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"of {', '.join(SERVERS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="per phase")
    parser.add_argument("--quick", action="store_true", help="only one room, without latency")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
