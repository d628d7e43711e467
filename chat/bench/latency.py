"""Latencies as people read them: percentiles, and a histogram; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

PERCENTILES = (50.0, 90.0, 99.0, 99.9)

_BLOCKS = " ▏▎▍▌▋▊▉█"


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not exceeded by `percent` of them; they come sorted, NaN if there are none."""
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def histogram(ordered: Sequence[float], *, width: int = 40) -> list[str]:
    """Return lines of a bar chart, from values in ms that come sorted; each line is twice as slow as the one before."""
    if not ordered:
        return []
    counts: dict[int, int] = {}
    for value in ordered:
        step = _step(value)
        counts[step] = counts.get(step, 0) + 1
    most = max(counts.values())
    lines = []
    for step in range(min(counts), max(counts) + 1):
        count = counts.get(step, 0)
        share = f"{count / len(ordered):7.2%}"
        lines.append(f"  < {2.0**step:>8g} ms {share} {_bar(count / most * width)}".rstrip())
    return lines


def _step(value: float) -> int:
    """Return the power of two that a value is below."""
    return max(math.floor(math.log2(value)) + 1, -4) if value > 0 else -4


def _bar(length: float) -> str:
    eighths = math.ceil(length * 8)
    return _BLOCKS[-1] * (eighths // 8) + _BLOCKS[eighths % 8].strip()
