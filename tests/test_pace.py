"""How fast one may ask over HTTP, and that remembering it takes a bounded amount of memory."""

from __future__ import annotations

import pytest

from chat.exceptions import TooManyRequests
from chat.pace import LONGEST_WAIT, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_everybody_has_a_burst_and_then_the_rate() -> None:
    """A person and an address of the same name are two."""
    clock = Clock()
    pace = Pace(10, 3, clock=clock)
    for kind, who in (("user", "ada"), ("user", "bob"), ("address", "ada")):
        for _ in range(3):
            pace.demand(kind, who)
        with pytest.raises(TooManyRequests) as refusal:
            pace.demand(kind, who)
        assert refusal.value.retry_after == pytest.approx(0.1)
    clock.now = 0.11
    pace.demand("user", "ada")
    with pytest.raises(TooManyRequests):
        pace.demand("user", "ada")


def test_nobody_is_told_to_wait_for_hours() -> None:
    pace = Pace(1, 1, clock=Clock())
    waits = []
    for _ in range(1000):
        try:
            pace.demand("user", "ada")
        except TooManyRequests as refusal:
            waits.append(refusal.retry_after)
    assert len(waits) == 999
    assert max(waits) == LONGEST_WAIT


def test_whoever_asked_longest_ago_is_forgotten() -> None:
    """And whoever goes on asking is not, however many others there are."""
    pace = Pace(1, 1, most=10, clock=Clock())
    pace.demand("user", "ada")
    for number in range(1000):
        pace.demand("address", f"{number}")
        with pytest.raises(TooManyRequests):
            pace.demand("user", "ada")
    assert len(pace._buckets) == 10
    pace.demand("address", "0")


def test_without_a_rate_there_is_no_limit() -> None:
    pace = Pace(0, 1, clock=Clock())
    for _ in range(100):
        pace.demand("user", "ada")
    assert not pace._buckets
