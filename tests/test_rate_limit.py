"""How much one connection may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.rate_limit import PATIENCE, RateLimit, TokenBucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = TokenBucket(10, 3, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.11) == 0
    assert bucket.take(100.11) > 0


def test_silence_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(10, 3, now=0.0)
    assert [bool(bucket.take(1000.0)) for _ in range(4)] == [False, False, False, True]


def test_whoever_waits_as_long_as_it_is_told_is_let_through() -> None:
    """Also many at once: each is told a time of its own."""
    bucket = TokenBucket(10, 3, now=0.0)
    waits = [bucket.take(0.0) for _ in range(50)]
    assert [bucket.take(wait + 1e-6) for wait in waits if wait] == [0] * 47


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_no_more_passes_than_burst_and_rate_allow(steps: list[float]) -> None:
    bucket = TokenBucket(5, 4, now=0.0)
    now, passed = 0.0, 0
    for step in steps:
        now += step
        passed += bucket.take(now) == 0
    assert passed <= 4 + 5 * now + 1e-6


def test_whoever_does_not_listen_is_given_up() -> None:
    limit = RateLimit(10, 3, now=0.0)
    answers = [limit.take(0.0) for _ in range(3 + PATIENCE * 3 + 1)]
    assert None not in answers[:-1]
    assert answers[-1] is None
