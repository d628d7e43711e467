"""How long to wait before trying again; pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator


def delays(*, first: float, most: float, rand: Callable[[], float] = random.random) -> Iterator[float]:
    """Yield waiting times in seconds: doubling from `first` up to `most`, each spread over its upper half.

    The spread keeps workers that lost the same broker from coming back all at once.
    """
    delay = first
    while True:
        yield delay * (0.5 + rand() / 2)
        delay = min(delay * 2, most)
