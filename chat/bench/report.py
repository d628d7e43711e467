"""What a load came to: for people, for programs, and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from chat.bench import chart
from chat.bench.latency import PERCENTILES, histogram
from chat.bench.ledger import Verdict
from chat.bench.load import Measured, Progress

BUSY = 0.9  # share of a core from which on this process may be what is measured
LATE = 10.0  # ms that it was late itself, from which on it is to be said


@dataclass(frozen=True)
class Report:
    """Everything that is known at the end."""

    what: str  # the load, in words
    options: Mapping[str, Any]
    members: int
    connect_seconds: float
    by_worker: Mapping[str, int]
    measured: Measured
    verdict: Verdict
    gaps: int = 0
    unavailable: int = 0
    parted: Mapping[str, int] = field(default_factory=dict)
    returned: int = 0
    interrupted: bool = False
    trouble: str = ""  # what ended it

    @property
    def sound(self) -> bool:
        """Whether every member got every message once, in one order, to the end."""
        return not self.verdict and not self.gaps and not self.trouble

    def text(self) -> str:
        """Return it as people read it."""
        measured = self.measured
        lines = [self.what, "", f"connected  {self._connected()}", f"delivered  {self._delivered()}"]
        if measured.latencies:
            shown = [f"p{percent:g} {_ms(measured.percentile(percent))}" for percent in PERCENTILES]
            lines.append(f"latency    {', '.join(shown)}, max {_ms(measured.latencies[-1])} ms")
            lines += [f"           from sending until a member has it, of {_count(measured.sampled, 'member')}", ""]
            lines += [*histogram(measured.latencies), ""]
        lines += [f"check      {self._check()}", *self._remarks()]
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Return it as programs read it; docs/operations.md has the fields."""
        measured = self.measured
        latency: dict[str, float | None] = {
            f"p{percent:g}": measured.percentile(percent) if measured.latencies else None for percent in PERCENTILES
        }
        latency["max"] = measured.latencies[-1] if measured.latencies else None
        return {
            "options": dict(self.options),
            "connected": {
                "members": self.members,
                "seconds": self.connect_seconds,
                "per_second": self.members / self.connect_seconds if self.connect_seconds else None,
                "by_worker": dict(self.by_worker),
            },
            "measured": {
                "seconds": measured.seconds,
                "messages": measured.messages,
                "deliveries": measured.deliveries,
                "deliveries_per_second": measured.deliveries / measured.seconds if measured.seconds else None,
                "latency_ms": latency,
                "latency_members": measured.sampled,
            },
            "check": {"sound": self.sound, **asdict(self.verdict), "gaps": self.gaps, "unavailable": self.unavailable},
            "connections": {"lost": sum(self.parted.values()), "reasons": dict(self.parted), "returned": self.returned},
            "generator": {"busy": measured.busy, "late_ms": measured.late},
            "interrupted": self.interrupted,
            "trouble": self.trouble or None,
        }

    def plot(self) -> str:
        """Return latency against the share of deliveries that are faster, as SVG."""
        ordered = self.measured.latencies
        slowest = chart.Axis(
            "share of deliveries that are faster", written=lambda value: f"{100 * (1 - 1 / value):.6g} %"
        )
        points: list[tuple[float, float]] = []
        rest = float(len(ordered))
        while rest >= 1:
            points.append((len(ordered) / rest, ordered[max(len(ordered) - int(rest), 0)]))
            rest /= 1.15
        if ordered:
            points.append((len(ordered), ordered[-1]))
        return chart.lines(self.what, slowest, chart.Axis("latency, ms"), [chart.Series("latency", points)])

    def _connected(self) -> str:
        said = f"{_count(self.members, 'member')} in {self.connect_seconds:.2f} s"
        if self.connect_seconds:
            said += f": {self.members / self.connect_seconds:,.0f}/s"
        if len(self.by_worker) > 1:
            spread = ", ".join(f"{number:,}" for number in self.by_worker.values())
            said += f"; on {len(self.by_worker)} workers: {spread}"
        return said

    def _delivered(self) -> str:
        measured = self.measured
        speed = measured.deliveries / measured.seconds if measured.seconds else 0.0
        messages = _count(measured.messages, "message")
        return f"{messages}, {measured.deliveries:,} deliveries in {measured.seconds:.1f} s: {speed:,.0f}/s"

    def _check(self) -> str:
        if self.sound:
            return "every member got every message once, in one order"
        verdict = self.verdict
        if not verdict and not self.gaps:
            return f"FAILED: {self.trouble}"
        said = f"FAILED: {verdict.lost:,} deliveries lost, {verdict.doubled:,} doubled, {verdict.reordered:,} reordered"
        return said + (f"; the server announced {_count(self.gaps, 'gap')}" if self.gaps else "")

    def _remarks(self) -> list[str]:
        remarks = [f"{number:,} x {reason}" for reason, number in self.parted.items()]
        if self.parted:
            remarks.append(f"{self.returned:,} of {sum(self.parted.values()):,} lost connections were resumed")
        if self.unavailable:
            remarks.append(f"{_count(self.unavailable, 'time')} the broker was away, and the message was sent again")
        if self.measured.busy > BUSY:
            remarks.append("this process was busy all the time: the server may be able to do more")
        if self.measured.late > LATE:
            remarks.append(f"this process itself was up to {self.measured.late:.0f} ms late: latencies may be its own")
        if self.interrupted:
            remarks.append("interrupted: this is what was measured until then")
        return [f"remark     {remark}" for remark in remarks]


def progress_line(progress: Progress) -> str:
    """Return what is to be seen in one second."""
    return (
        f"{progress.elapsed:4.0f} s   connected {progress.connected:,}   "
        f"deliveries/s {progress.deliveries:,.0f}   p99 {_ms(progress.p99)} ms"
    )


def _ms(value: float) -> str:
    if value != value:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
