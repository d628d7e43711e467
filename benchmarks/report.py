"""The comparison as Markdown and as plots: medians, ratios, and on what they were measured."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.servers import FLOOR, JOINED, NATS, NCHAN, OURS, PEERS, SERVERS, TUTORIAL
from chat.bench import chart

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
PLOTS = DOCS / "plots"

Rounds = Sequence[Mapping[str, Mapping[str, float]]]  # each by server, by figure

CPU = {
    "one": "1 room × 1,000, 1 in flight",
    "eight": "the same, 8 in flight",
    "rooms": "200 rooms × 5",
}
COST = {**CPU, "redis": "Redis apart, per message", "load": "the generator, 8 in flight"}
OTHERS = {
    "per_second": "deliveries/s, 8 in flight",
    "p50": "p50 at 10 msg/s × 1,000, ms",
    "p99": "p99, ms",
    "kb": "KB per idle connection",
    "connects": "connects/s",
    "connect": "connects per CPU second",
}
# By figure: what we want to be, and whether less is better.
TARGETS = {
    "one": ("≤ 7 µs", 7.0, True),
    "eight": ("≤ 1.5 µs", 1.5, True),
    "rooms": ("≤ 14 µs", 14.0, True),
    "p99": ("≤ 12 ms", 12.0, True),
    "kb": ("≤ 16 KB", 16.0, True),
    "connects": ("≥ 2,500", 2500.0, False),
}
RIVALS = {TUTORIAL: "tutorial", NCHAN: "nchan", NATS: "nats-server", FLOOR: "floor", JOINED: "floor, joined"}
WRONG = ("lost", "doubled", "reordered")


def line(figures: Mapping[str, float]) -> str:
    """Return one round's figures of one server, for reading along."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def facts() -> dict[str, str]:
    """Return on what is measured; it is kept with the figures."""
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "uvicorn", "fastapi", "websockets", "redis"))
    peers = [line for path in sorted(PEERS.glob("*.txt")) for line in path.read_text().splitlines()]
    return {
        "machine": f"{os.cpu_count()} cores of {_processor()}, Linux {_kernel()}, Python {platform.python_version()}, "
        f"{packages}, Redis {re.findall(r'v=([0-9.]+)', redis)[0]} without persistence",
        "peers": ", ".join(peers),
    }


def text(run: Mapping[str, Any], *, plots: bool = False) -> str:
    """Return all that is to be said about a run, with the plots that `draw` makes if they are there."""
    rounds: Rounds = run["rounds"]
    names = [name for name in SERVERS if any(name in found for found in rounds)]
    peers = run["facts"]["peers"]
    parts = [
        f"Measured by `{run['command']}`: medians of {len(rounds)} rounds, messages of 100 bytes, one core for the "
        f"server and one for load and Redis, {run['facts']['machine']}"
        + (f"; the peers are {peers}." if peers else ".")
    ]
    if OURS in names:
        parts += ["**chat-broadcaster** with Redis and `chat.v1`, and as a multiple of others in the same rounds:"]
        parts += [_targets(rounds, names)]
    parts += ["CPU time of the server per delivered message, in microseconds:"]
    parts += ["![CPU time per delivered message, by server](plots/cost.svg)"] * plots
    parts += [_absolute(rounds, names, COST), "What else was measured:"]
    parts += ["![Latency at ten messages a second to 1,000 members, by server](plots/latency.svg)"] * plots
    parts += [_absolute(rounds, names, OTHERS)]
    for other, title in ((TUTORIAL, "the tutorial's manager"), (FLOOR, "the floor, one write per message and socket")):
        if other in names:
            parts += [f"CPU time as a multiple of that of {title}, lowest and highest round in brackets:"]
            parts += [_relative(rounds, names, other)]
    for name, reason in {**run["skipped"], **run["failed"]}.items():
        parts += [f"Not measured here: {SERVERS[name].label}: {reason}"]
    wrong = [SERVERS[name].label for name in names if _wrong(rounds, name)]
    parts += [f"Lost, doubled or reordered messages: {', '.join(wrong) or 'none, by any of them'}."]
    return "\n\n".join(parts) + "\n"


def draw(run: Mapping[str, Any]) -> None:
    """Make the plots that `text` speaks of."""
    rounds: Rounds = run["rounds"]
    names = [name for name in SERVERS if any(name in found for found in rounds)]
    PLOTS.mkdir(exist_ok=True)
    cost = chart.Axis("microseconds of the server's CPU, less is better")
    latency = chart.Axis("milliseconds from sending until a member has it, less is better")
    title = "CPU time per delivered message"
    _dots("cost", title, cost, rounds, names, CPU)
    title = "Latency at 10 messages a second in a room of 1,000"
    _dots("latency", title, latency, rounds, names, {"p50": "p50", "p99": "p99"})


def write(section: str, measured: str) -> None:
    """Put what was measured between the marks of a section of docs/performance.md."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, found, rest = PAGE.read_text().partition(begin)
    if not found or end not in rest:
        raise ValueError(f"{PAGE.name} has no {begin} … {end}")
    PAGE.write_text(f"{before}{begin}\n\n{measured}\n{end}{rest.partition(end)[2]}")


def ratio(rounds: Rounds, name: str, other: str, figure: str) -> list[float]:
    """Return a figure of one server as a multiple of another's, in each round that has both, lowest first."""
    return sorted(
        found[name][figure] / found[other][figure]
        for found in rounds
        if name in found and other in found and figure in found[name] and figure in found[other]
    )


def table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a Markdown table; each row has a label."""
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    return "\n".join(lines + [f"| {label} | {' | '.join(cells)} |" for label, cells in rows])


def number(value: float) -> str:
    """Return three digits of a figure, or all before its point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def median(rounds: Rounds, name: str, figure: str) -> float | None:
    """Return the median over the rounds, or None if none of them has it."""
    values = [found[name][figure] for found in rounds if figure in found.get(name, {})]
    return statistics.median(values) if values else None


def _dots(
    file: str, title: str, axis: chart.Axis, rounds: Rounds, names: Sequence[str], figures: Mapping[str, str]
) -> None:
    rows = []
    for name in names:
        values = [median(rounds, name, figure) for figure in figures]
        rows.append(chart.Row(SERVERS[name].short, values, ours=name.startswith(OURS + "-") or name == OURS))
    if any(value for row in rows for value in row.values):
        (PLOTS / f"{file}.svg").write_text(chart.dots(title, axis, list(figures.values()), rows))


def _targets(rounds: Rounds, names: Sequence[str]) -> str:
    rivals = [name for name in RIVALS if name in names]
    rows = []
    for figure, (wanted, bound, less) in TARGETS.items():
        value = median(rounds, OURS, figure)
        if value is None:
            continue
        met = value <= bound if less else value >= bound
        ratios = [
            _or_dash(ratio(rounds, OURS, rival, figure), lambda found: f"{statistics.median(found):.2f}×")
            for rival in rivals
        ]
        label = {**COST, **OTHERS}[figure] + (", at 10 msg/s × 1,000" if figure == "p99" else "")
        rows.append((label, [number(value), wanted, "yes" if met else "no", *ratios]))
    return table(["measured", "target", "met", *[RIVALS[rival] for rival in rivals]], rows)


def _wrong(rounds: Rounds, name: str) -> bool:
    figures = [found.get(name, {}) for found in rounds]
    return any(row.get(wrong) or row.get(f"{wrong}_in_rooms") for row in figures for wrong in WRONG)


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return str(names[0]) if names else platform.machine()


def _kernel() -> str:
    return re.match(r"[0-9.]*", platform.release())[0].rstrip(".")  # type: ignore[index]


def _absolute(rounds: Rounds, names: Sequence[str], columns: Mapping[str, str]) -> str:
    figures = [figure for figure in columns if any(figure in row for found in rounds for row in found.values())]
    rows = []
    for name in names:
        values = [median(rounds, name, figure) for figure in figures]
        rows.append((SERVERS[name].label, ["–" if value is None else number(value) for value in values]))
    return table([columns[figure] for figure in figures], rows)


def _relative(rounds: Rounds, names: Sequence[str], other: str) -> str:
    figures = [figure for figure in CPU if ratio(rounds, other, other, figure)]
    rows = [
        (SERVERS[name].label, [_or_dash(ratio(rounds, name, other, figure), _spread) for figure in figures])
        for name in names
    ]
    return table([CPU[figure] for figure in figures], rows)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({values[0]:.2f}–{values[-1]:.2f})"


def _or_dash(values: Sequence[float], written: Callable[[Sequence[float]], str]) -> str:
    return written(values) if values else "–"
