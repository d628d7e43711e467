"""Waiting longer and longer, and not all at once."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from chat.backoff import delays


def test_waits_double_up_to_the_most() -> None:
    """Without the spread: 1, 2, 4, 4, …"""
    assert list(islice(delays(first=1, most=4, rand=lambda: 1.0), 5)) == [1, 2, 4, 4, 4]


@given(st.floats(0, 1, exclude_max=True))
def test_every_wait_lies_in_its_upper_half(chance: float) -> None:
    """So nobody hammers, and nobody waits longer than said."""
    for wait, whole in zip(delays(first=1, most=4, rand=lambda: chance), [1, 2, 4, 4], strict=False):
        assert whole / 2 <= wait <= whole


def test_waits_are_spread() -> None:
    """Workers that lost the same broker do not come back together."""
    assert len({next(delays(first=1, most=1)) for _ in range(20)}) > 15
