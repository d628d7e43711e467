"""Charts as SVG, readable on a light and on a dark page; the same figures always make the same bytes; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
STYLE = """
svg { font: 13px system-ui, sans-serif; background: #fff }
text { fill: #24292f } .quiet { fill: #57606a } .title { font-size: 15px; font-weight: 600 } .ours { font-weight: 700 }
.grid { stroke: #d0d7de } .s0 { --c: #0969da } .s1 { --c: #bc4c00 } .s2 { --c: #1a7f37 } .s3 { --c: #8250df }
.mark { fill: var(--c) } .line { stroke: var(--c); stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
.s0 { --c: #58a6ff } .s1 { --c: #f0883e } .s2 { --c: #3fb950 } .s3 { --c: #bc8cff }
}
"""


@dataclass(frozen=True)
class Axis:
    """What is shown along one side; its scale is logarithmic unless `linear`."""

    label: str
    linear: bool = False
    written: Callable[[float], str] = lambda value: f"{value:,.0f}" if value >= 1 else f"{value:g}"


@dataclass(frozen=True)
class Series:
    """Points that belong together; `label` may be None if there is only one."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """One line of a dot plot: a value for each of the plot's series, None where there is none."""

    label: str
    values: Sequence[float | None]
    ours: bool = False


def dots(title: str, axis: Axis, names: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a dot plot: a line for each row, a mark for each of its values, in the colour of `names`."""
    left, top, step = 330, 78, 26
    height = top + step * len(rows) + 54
    scale = _Scale(axis, [value for row in rows for value in row.values if value], start=left, end=WIDTH - 40)
    parts = [*_head(title), *_key(names, y=52)]
    bottom = top + step * len(rows)
    for tick in scale.ticks:
        parts.append(_rule(scale(tick), top - 8, scale(tick), bottom))
        parts.append(_text(scale(tick), bottom + 16, axis.written(tick), anchor="middle", kind="quiet"))
    parts.append(_text((left + WIDTH - 40) / 2, bottom + 38, axis.label, anchor="middle", kind="quiet"))
    for place, row in enumerate(rows):
        y = top + step * place + step / 2
        parts.append(_rule(left, y, WIDTH - 40, y))
        parts.append(_text(left - 12, y + 4, row.label, anchor="end", kind="ours" if row.ours else ""))
        for number, value in enumerate(row.values):
            if value:
                said = f"{row.label}, {names[number]}: {value:.3g}"
                parts.append(_mark(number, scale(value), y, said))
    return _svg(height, parts)


def lines(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Return a line plot of up to four series."""
    left, right, top, bottom = 80, WIDTH - 40, 72, 400
    points = [point for one in series for point in one.points]
    across = _Scale(x, [point[0] for point in points], start=left, end=right)
    up = _Scale(y, [point[1] for point in points], start=bottom, end=top)
    parts = [*_head(title), *_key([one.label for one in series], y=52)]
    for tick in across.ticks:
        parts.append(_rule(across(tick), top, across(tick), bottom))
        parts.append(_text(across(tick), bottom + 18, x.written(tick), anchor="middle", kind="quiet"))
    for tick in up.ticks:
        parts.append(_rule(left, up(tick), right, up(tick)))
        parts.append(_text(left - 8, up(tick) + 4, y.written(tick), anchor="end", kind="quiet"))
    parts.append(_text((left + right) / 2, bottom + 42, x.label, anchor="middle", kind="quiet"))
    parts.append(
        f'<text class="quiet" text-anchor="middle" transform="translate(20 {(top + bottom) / 2:g}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )
    for number, one in enumerate(series):
        path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in one.points)
        parts.append(f'<polyline class="line s{number % 4}" points="{path}"/>')
        if len(one.points) <= 20:
            parts += [_mark(number, across(a), up(b), f"{one.label}, {a:g}: {b:.3g}") for a, b in one.points]
    return _svg(bottom + 60, parts)


class _Scale:
    """Places values between two ends."""

    def __init__(self, axis: Axis, values: Sequence[float], *, start: float, end: float) -> None:
        self._linear = axis.linear
        low, high = (min(values), max(values)) if values else (1.0, 10.0)
        self.ticks = _round_numbers(high) if axis.linear else _decades(low, high)
        self._low, self._high = self._position(self.ticks[0]), self._position(self.ticks[-1])
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (self._position(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def _position(self, value: float) -> float:
        return value if self._linear else math.log10(value)


def _decades(low: float, high: float) -> list[float]:
    """Return ticks around positive values: 1, 10, 100; with 2 and 5 between them if they would be few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(first, last) for step in steps] + [10.0**last]
    inside = [tick for tick in ticks if low <= tick <= high]
    below = [tick for tick in ticks if tick < low][-1:]
    above = [tick for tick in ticks if tick > high][:1]
    return below + inside + above


def _round_numbers(high: float) -> list[float]:
    """Return ticks from 0 to above `high`, four to ten of them."""
    power = 10.0 ** math.floor(math.log10(high)) if high > 0 else 1.0
    step = next(step * power for step in (0.2, 0.5, 1.0, 2.0) if high / (step * power) <= 8)
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def _svg(height: float, parts: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>', *parts, "</svg>"]) + "\n"


def _head(title: str) -> list[str]:
    return [f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", _text(16, 26, title, kind="title")]


def _key(names: Sequence[str], *, y: float) -> list[str]:
    parts, x = [], 24.0
    for number, name in enumerate(names):
        parts += [_mark(number, x, y - 4, name), _text(x + 12, y, name)]
        x += 34 + 7.2 * len(name)
    return parts


def _mark(number: int, x: float, y: float, said: str) -> str:
    """Return a mark that differs by shape as well as by colour."""
    shape = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"',
        f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"',
        f'<path d="M{x:.1f} {y - 6:.1f}l6 11h-12z"',
        f'<path d="M{x:.1f} {y - 6.5:.1f}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"',
    )[number % 4]
    kind = shape[1:].partition(" ")[0]
    return f'{shape} class="mark s{number % 4}"><title>{escape(said)}</title></{kind}>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
