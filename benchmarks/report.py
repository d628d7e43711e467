"""The comparison as Markdown: medians, ratios, and on what they were measured."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.servers import FLOOR, PEERS, SERVERS, TUTORIAL

Rounds = Sequence[Mapping[str, Mapping[str, float]]]  # each by server, by figure

COLUMNS = {
    "one": "1 room × 1,000, 1 in flight",
    "eight": "the same, 8 in flight",
    "rooms": "200 rooms × 5",
    "p99": "p99 at 10 msg/s × 1,000, ms",
    "kb": "KB per idle connection",
    "connect": "connects per CPU second",
    "redis": "Redis apart, per message",
}
CPU = ("one", "eight", "rooms")

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def line(figures: Mapping[str, float]) -> str:
    """Return one round's figures of one server, for reading along."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def text(rounds: Rounds, names: Sequence[str], *, skipped: Mapping[str, str], command: str) -> str:
    """Return all that is to be said about a run."""
    names = [name for name in names if any(name in found for found in rounds)]
    parts = [
        _facts(len(rounds), command),
        "CPU time of the server per delivered message, in microseconds, and what else was measured:",
        _absolute(rounds, names),
    ]
    for other, title in ((TUTORIAL, "the tutorial's manager"), (FLOOR, "the floor, one write per message and socket")):
        if other in names:
            parts += [f"CPU time as a multiple of that of {title}, lowest and highest round in brackets:"]
            parts += [_relative(rounds, names, other)]
    parts += [f"Not measured here: {SERVERS[name].label}: {reason}" for name, reason in skipped.items()]
    lossy = [SERVERS[name].label for name in names if _lost(rounds, name)]
    parts += [f"Lost messages: {', '.join(lossy) or 'none, by any of them'}."]
    return "\n\n".join(parts) + "\n"


def _lost(rounds: Rounds, name: str) -> bool:
    figures = [found.get(name, {}) for found in rounds]
    return any(row.get("lost") or row.get("lost_in_rooms") for row in figures)


def write(path: Path, measured: str) -> None:
    """Put what was measured between the marks of a document."""
    document = path.read_text()
    before, _, rest = document.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n\n{measured}\n{END}{rest.partition(END)[2]}")


def ratio(rounds: Rounds, name: str, other: str, figure: str) -> list[float]:
    """Return a figure of one server as a multiple of another's, in each round that has both, lowest first."""
    return sorted(
        found[name][figure] / found[other][figure]
        for found in rounds
        if name in found and other in found and figure in found[name] and figure in found[other]
    )


def _facts(rounds: int, command: str) -> str:
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "uvicorn", "fastapi", "websockets", "redis"))
    peers = [line for path in sorted(PEERS.glob("*.txt")) for line in path.read_text().splitlines()]
    return (
        f"Measured by `{command}`: medians of {rounds} rounds, messages of 100 bytes, one core for the server and "
        f"one for load and Redis, {os.cpu_count()} cores of {_processor()}, Linux {_kernel()}, Python "
        f"{platform.python_version()}, {packages}, Redis {re.findall(r'v=([0-9.]+)', redis)[0]} without persistence"
        + (f"; the peers are {', '.join(peers)}." if peers else ".")
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return str(names[0]) if names else platform.machine()


def _kernel() -> str:
    return re.match(r"[0-9.]*", platform.release())[0].rstrip(".")  # type: ignore[index]


def _absolute(rounds: Rounds, names: Sequence[str]) -> str:
    figures = [figure for figure in COLUMNS if any(figure in row for found in rounds for row in found.values())]
    rows = [[_median(rounds, name, figure) for figure in figures] for name in names]
    return _table([COLUMNS[figure] for figure in figures], names, rows)


def _median(rounds: Rounds, name: str, figure: str) -> str:
    values = [found[name][figure] for found in rounds if figure in found.get(name, {})]
    if not values:
        return "–"
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _relative(rounds: Rounds, names: Sequence[str], other: str) -> str:
    figures = [figure for figure in CPU if ratio(rounds, other, other, figure)]
    rows = [[_spread(ratio(rounds, name, other, figure)) for figure in figures] for name in names]
    return _table([COLUMNS[figure] for figure in figures], names, rows)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({values[0]:.2f}–{values[-1]:.2f})" if values else "–"


def _table(columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    lines += [f"| {SERVERS[name].label} | {' | '.join(row)} |" for name, row in zip(names, rows, strict=True)]
    return "\n".join(lines)
