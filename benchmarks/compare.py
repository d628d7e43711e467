"""Compares servers in one run, in turn, and writes what came out into docs/performance.md, with plots.

    python -m benchmarks.compare                     everything that can be run here
    python -m benchmarks.compare bare tutorial chat --rounds 5 --quick
    python -m benchmarks.compare --from FILE --write writes down an earlier run

Each round starts every server once, pinned to one core, with the load and Redis on the other. The figures are medians
over the rounds; ratios are medians of the ratios within a round, so a machine that is slow for a while does no harm.
What was measured so far is kept after each server, so nothing is lost if the run is ended early.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.run import Shape, end_in_good_order, last_line, put_under_load
from benchmarks.servers import SERVERS, Server

FAILURES = 2  # rounds that a server may fail in before it is given up
KEPT = Path(__file__).parent / ".results" / "compare.json"

Figures = dict[str, float]  # what one round found out about one server, by the report's names
Rounds = list[dict[str, Figures]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if unknown := set(options.servers) - set(SERVERS):
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
    end_in_good_order()
    run = json.loads(Path(options.source).read_text()) if options.source else _measured(options)
    text = report.text(run, plots=options.write)
    print(text)
    if options.write:
        report.write("measured", text)
        report.draw(run)
    return 1 if run["failed"] else 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    names = options.servers or list(SERVERS)
    skipped = {name: reason for name in names if (reason := SERVERS[name].missing())}
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    names = [name for name in names if name not in skipped]
    run: dict[str, Any] = {"command": _command(options), "skipped": skipped, "facts": report.facts()}

    def keep(rounds: Rounds, failed: dict[str, str]) -> None:
        run.update(rounds=rounds, failed=failed)
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(run, indent=1))

    try:
        compare(names, rounds=options.rounds, seconds=options.seconds, quick=options.quick, keep=keep)
    finally:
        print(f"kept in {KEPT}; --from {KEPT} --write writes it down", file=sys.stderr)
    return run


def compare(
    names: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    quick: bool,
    members: int = 1000,
    keep: Callable[[Rounds, dict[str, str]], None],
) -> None:
    """Measure servers in turn; `keep` is told, again and again, what each round found out, and who failed and why."""
    found: Rounds = []
    failed: dict[str, str] = {}
    complaints: defaultdict[str, list[str]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for number in range(rounds):
            found.append({})
            for name in names:
                if name in failed:
                    continue
                start = time.monotonic()
                try:
                    figures = _measure(SERVERS[name], Path(folder), seconds=seconds, quick=quick, members=members)
                except (RuntimeError, subprocess.SubprocessError) as error:
                    complaints[name].append(last_line(error))
                    print(f"{name} failed: {error}", file=sys.stderr)
                    if len(complaints[name]) == FAILURES:
                        failed[name] = complaints[name][-1]
                else:
                    found[-1][name] = figures
                    took = time.monotonic() - start
                    print(f"round {number + 1} {name} ({took:.0f} s): {report.line(figures)}", file=sys.stderr)
                keep(found, failed)
    failed |= {name: said[-1] for name, said in complaints.items() if not any(name in one for one in found)}
    keep(found, failed)


def _measure(server: Server, folder: Path, *, seconds: float, quick: bool, members: int) -> Figures:
    phases = ["in-flight=1", "in-flight=8"] if quick else ["in-flight=1", "in-flight=8", "rate=10"]
    found = put_under_load(server, folder, phases, shape=Shape(1, members), seconds=seconds)
    connect, eight = found["connect"], found["phases"]["in-flight=8"]
    figures: Figures = {
        "one": found["phases"]["in-flight=1"]["cpu_us"],
        "eight": eight["cpu_us"],
        "per_second": eight["per_second"],
        "load": eight["load_us"],
        "kb": connect["rss_kb"],
        "connects": connect["per_second"],
        "connect": 1e6 / connect["cpu_us"],
        **_wrong(found),
    }
    if server.redis:
        figures["redis"] = eight["aside_us_per_message"]
    if not quick:
        figures |= {"p50": found["phases"]["rate=10"]["p50_ms"], "p99": found["phases"]["rate=10"]["p99_ms"]}
        figures |= _measure_rooms(server, folder, seconds=seconds, rooms=members // 5)
    return figures


def _measure_rooms(server: Server, folder: Path, *, seconds: float, rooms: int) -> Figures:
    """Return what many small rooms cost, or nothing if the server cannot have them: then the table shows a dash."""
    try:
        many = put_under_load(server, folder, ["in-flight=1"], shape=Shape(rooms, 5), seconds=seconds)
    except RuntimeError as error:
        print(f"{server.label} fails with {rooms} rooms: {last_line(error)}", file=sys.stderr)
        return {}
    return {"rooms": many["phases"]["in-flight=1"]["cpu_us"]} | {
        f"{name}_in_rooms": count for name, count in _wrong(many).items()
    }


def _wrong(found: dict[str, Any]) -> Figures:
    return {name: found[name] for name in ("lost", "doubled", "reordered")}


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
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=3.0, help="per phase (default: 3)")
    parser.add_argument("--quick", action="store_true", help="only one room, without latency")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing; take a run that was kept")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md and docs/plots/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
