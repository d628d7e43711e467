"""Sweeps: how cost grows with rooms, members and workers, and whether anything ever stalls; into docs/performance.md.

    python -m benchmarks.sweep                      all of them
    python -m benchmarks.sweep rooms --rounds 1     one: rooms, members, workers, stalls
    python -m benchmarks.sweep --from FILE --write  writes down an earlier run

As in `benchmarks.compare`, every server is started once per point and round, on one core, with load and Redis on the
other, and figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.run import Shape, cores, end_in_good_order, last_line, put_under_load
from benchmarks.servers import FLOOR, OURS, SERVERS, TUTORIAL
from chat.bench import chart

KEPT = Path(__file__).parent / ".results" / "sweep.json"

COMPARED = (FLOOR, TUTORIAL, OURS)
EVERYBODY = 10_000  # members in the sweep over rooms, however many rooms they are in
ROOMS = (1, 10, 100, 1_000, 10_000)
MEMBERS = (1, 10, 100, 1_000, 5_000)
WORKERS = (1, 2, 4)
AT_WORK = Shape(rooms=8, members=125)
ASLEEP = Shape(rooms=1, members=5, idle_rooms=100, idle_members=50)
STALLS = 60.0  # seconds: two heartbeats and a little
STALL_TRIES = 3
LATE = 25.0  # ms that the generator may be late itself
SHOWN = ("cpu_us_per_message", "cpu_us", "p99_ms", "max_ms", "load_late_ms")  # while it lasts

Point = dict[str, Any]  # what one load found out, and `at`, `server` and `sweep`


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if unknown := set(options.sweeps) - set(SWEEPS):
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SWEEPS)}")
    end_in_good_order()
    run = json.loads(Path(options.source).read_text()) if options.source else _measured(options)
    text = _text(run, plots=options.write)
    print(text)
    if options.write:
        report.write("swept", text)
        _draw(run)
    return 1 if run["failed"] else 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    run: dict[str, Any] = {"command": _command(options), "facts": report.facts(), "points": [], "failed": []}
    run["rounds"] = options.rounds
    KEPT.parent.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            for number in range(options.rounds):
                for name in options.sweeps or SWEEPS:
                    if name != "stalls" or not number:  # it lasts long, and a stall that is there is seen at once
                        SWEEPS[name](run, Path(folder), options.seconds)
    finally:
        print(f"kept in {KEPT}; --from {KEPT} --write writes it down", file=sys.stderr)
    return run


# --- the sweeps -------------------------------------------------------------------------------------


def _over_rooms(run: dict[str, Any], folder: Path, seconds: float) -> None:
    """One message at a time, in one room after the other, in which as many members are in all cases."""
    for rooms in ROOMS:
        for name in COMPARED:
            shape = Shape(rooms, EVERYBODY // rooms)
            _point(run, folder, "rooms", rooms, name, "in-turn=1", shape=shape, seconds=seconds)


def _over_members(run: dict[str, Any], folder: Path, seconds: float) -> None:
    """One message at a time in one room."""
    for members in MEMBERS:
        for name in COMPARED:
            _point(run, folder, "members", members, name, "in-flight=1", shape=Shape(1, members), seconds=seconds)


def _over_workers(run: dict[str, Any], folder: Path, seconds: float) -> None:
    """Eight busy rooms; members go where the system, or the service, puts them."""
    for workers in WORKERS:
        _point(run, folder, "workers", workers, OURS, "in-flight=8", shape=AT_WORK, seconds=seconds, workers=workers)


def _stalls(run: dict[str, Any], folder: Path, seconds: float) -> None:
    """Ten messages a second in a small room, while 5,000 others are there and silent.

    A generator that was late itself has measured itself; then it is done again, and the best one counts.
    """
    idle = ASLEEP.idle_rooms * ASLEEP.idle_members
    for name in COMPARED:
        _point(run, folder, "stalls", idle, name, "rate=10", shape=ASLEEP, seconds=STALLS, tries=STALL_TRIES)


SWEEPS: dict[str, Callable[[dict[str, Any], Path, float], None]] = {
    "rooms": _over_rooms,
    "members": _over_members,
    "workers": _over_workers,
    "stalls": _stalls,
}


def _point(
    run: dict[str, Any],
    folder: Path,
    sweep: str,
    at: int,
    name: str,
    phase: str,
    *,
    shape: Shape,
    seconds: float,
    workers: int = 1,
    tries: int = 1,
) -> None:
    """Measure one point, take it down and keep it; who fails is said and left out."""
    points: list[Point] = []
    for _ in range(tries):
        start = time.monotonic()
        try:
            found = put_under_load(SERVERS[name], folder, [phase], shape=shape, seconds=seconds, workers=workers)
        except (RuntimeError, subprocess.SubprocessError) as error:
            run["failed"].append(f"{sweep} {at:,}, {SERVERS[name].short}: {last_line(error)}")
            print(f"{run['failed'][-1]}", file=sys.stderr)
            break
        point: Point = {"sweep": sweep, "at": at, "server": name, **found["phases"][phase]}
        point |= {wrong: found[wrong] for wrong in report.WRONG}
        point["spread"] = sorted(found["by_worker"].values())
        points.append(point)
        shown = report.line({figure: point[figure] for figure in SHOWN})
        print(f"{sweep} {at:,} {name} ({time.monotonic() - start:.0f} s): {shown}", file=sys.stderr)
        if point["load_late_ms"] < LATE:
            break
    run["points"] += sorted(points, key=lambda point: float(point["load_late_ms"]))[:1]
    KEPT.write_text(json.dumps(run, indent=1))


# --- the report -------------------------------------------------------------------------------------


def _text(run: dict[str, Any], *, plots: bool) -> str:
    parts = [f"Measured by `{run['command']}`: medians of {run['rounds']} rounds, {run['facts']['machine']}."]
    for name, section in (
        ("rooms", _rooms_section),
        ("members", _members_section),
        ("workers", _workers_section),
        ("stalls", _stalls_section),
    ):
        points = [point for point in run["points"] if point["sweep"] == name]
        if points:
            parts += section(points, plots)
    parts += [f"Not measured: {failure}" for failure in run["failed"]]
    wrong = sum(point[name] for point in run["points"] for name in report.WRONG)
    parts += [
        f"Lost, doubled or reordered: {wrong:,} deliveries." if wrong else "Nothing was lost, doubled or reordered."
    ]
    return "\n\n".join(parts) + "\n"


def _rooms_section(points: Sequence[Point], plots: bool) -> list[str]:
    return [
        "### Rooms",
        f"{EVERYBODY:,} members in one room, in ten, and so on up to a room for each; one message at a time, in one "
        "room after the other. CPU time of the server per message, in microseconds, and in brackets per delivery:",
        *["![CPU time per message, by the number of rooms](plots/rooms.svg)"] * plots,
        _by_server(points, lambda at: f"{at:,} × {EVERYBODY // at:,}", "rooms × members"),
    ]


def _members_section(points: Sequence[Point], plots: bool) -> list[str]:
    return [
        "### Members",
        "One room, one message at a time. CPU time of the server per message, in microseconds, and in brackets per "
        "delivery:",
        *["![CPU time per message, by the number of members](plots/members.svg)"] * plots,
        _by_server(points, lambda at: f"{at:,}", "members"),
    ]


def _workers_section(points: Sequence[Point], plots: bool) -> list[str]:
    rows = []
    for workers in dict.fromkeys(point["at"] for point in points):
        here = [point for point in points if point["at"] == workers]
        spread = here[-1]["spread"]
        cells = [
            report.number(_median(here, "per_second")),
            report.number(_median(here, "cpu_us")),
            f"{_median(here, 'busy'):.2f}",
            ", ".join(f"{count:,}" for count in spread),
            f"{max(spread) / (sum(spread) / workers):.2f}" if len(spread) == workers else "a worker has none",
        ]
        rows.append((f"{workers}", cells))
    columns = [
        "deliveries/s",
        "CPU per delivery, µs",
        "cores taken by the workers",
        "members on each",
        "fullest ÷ mean",
    ]
    alone = len(set(cores())) > 1
    return [
        "### Workers",
        f"{AT_WORK.rooms} rooms × {AT_WORK.members}, 8 messages in flight in each. "
        + ("One worker has a core of its own. " if alone else "")
        + "More share all cores with each other, with Redis and with the load, which takes nearly as much as they do: "
        "so deliveries/s say what is possible on this machine, and CPU time per delivery what a core more would bring.",
        report.table(columns, rows),
    ]


def _stalls_section(points: Sequence[Point], plots: bool) -> list[str]:
    columns = ["p50, ms", "p99, ms", "max, ms", "deliveries above 50 ms", "the generator's own lateness, at most, ms"]
    rows = []
    for point in points:
        cells = [report.number(point[name]) for name in ("p50_ms", "p99_ms", "max_ms")]
        cells += [f"{point['stalled']:,} of {point['deliveries']:,}", report.number(point["load_late_ms"])]
        rows.append((SERVERS[point["server"]].label, cells))
    return [
        "### Stalls",
        f"10 messages a second in a room of {ASLEEP.members} for {STALLS:g} s, while {points[0]['at']:,} members in "
        f"{ASLEEP.idle_rooms} other rooms are silent, on one worker, with presence and heartbeat on. The generator's "
        "own garbage collection is off.",
        report.table(columns, rows),
    ]


def _by_server(points: Sequence[Point], written: Callable[[int], str], first: str) -> str:
    rows = []
    for at in dict.fromkeys(point["at"] for point in points):
        cells = []
        for name in COMPARED:
            here = [point for point in points if point["at"] == at and point["server"] == name]
            message, delivery = (_median(here, figure) if here else 0.0 for figure in ("cpu_us_per_message", "cpu_us"))
            cells.append(f"{report.number(message)} ({report.number(delivery)})" if here else "–")
        rows.append((written(at), cells))
    table = report.table([SERVERS[name].short for name in COMPARED], rows)
    return table.replace("| |", f"| {first} |", 1)


def _draw(run: dict[str, Any]) -> None:
    report.PLOTS.mkdir(exist_ok=True)
    for sweep, title in (
        ("rooms", f"CPU time per message, {EVERYBODY:,} members in so many rooms"),
        ("members", "CPU time per message in one room"),
    ):
        series = []
        for name in COMPARED:
            points = [point for point in run["points"] if point["sweep"] == sweep and point["server"] == name]
            places = dict.fromkeys(point["at"] for point in points)
            line = [(float(at), _median([p for p in points if p["at"] == at], "cpu_us_per_message")) for at in places]
            if line:
                series.append(chart.Series(SERVERS[name].short, line))
        if series:
            axes = chart.Axis(sweep), chart.Axis("microseconds of the server's CPU")
            (report.PLOTS / f"{sweep}.svg").write_text(chart.lines(title, *axes, series))


def _median(points: Sequence[Point], figure: str) -> float:
    return statistics.median([point[figure] for point in points])


def _command(options: argparse.Namespace) -> str:
    words = ["python -m benchmarks.sweep", *options.sweeps, f"--rounds {options.rounds} --seconds {options.seconds:g}"]
    return " ".join(words + ["--write"] * options.write)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"of {', '.join(SWEEPS)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3; stalls are looked for once")
    parser.add_argument("--seconds", type=float, default=2.0, help="per point (default: 2)")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing; take a run that was kept")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md and docs/plots/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
