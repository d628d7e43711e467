"""The newest stretch of a log, without a hole and within its bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.tail import Tail
from tests.publications import offsets, publication


def tail_of(*, start: int, count: int, limit: int = 1_000_000) -> Tail:
    tail = Tail(end=start, limit=limit, count=1000)
    for offset in range(start + 1, start + count + 1):
        tail.append(publication(offset))
    return tail


def test_it_gives_what_follows_an_offset() -> None:
    """In order, no more than asked for."""
    tail = tail_of(start=10, count=5)
    assert offsets(tail.after(10, limit=3)) == [11, 12, 13]
    assert offsets(tail.after(13, limit=100)) == [14, 15]


def test_who_has_everything_gets_nothing() -> None:
    """An empty list is not the same as not knowing."""
    assert tail_of(start=10, count=5).after(15, limit=100) == []


def test_it_does_not_know_what_lies_before() -> None:
    """Then the broker is to be asked."""
    assert tail_of(start=10, count=5).after(9, limit=100) is None


def test_a_hole_is_refused() -> None:
    """Neither a step too far nor one back."""
    tail = tail_of(start=10, count=1)
    for wrong in (10, 11, 13):
        with pytest.raises(ValueError, match="offset 12 was expected"):
            tail.append(publication(wrong))


def test_a_message_larger_than_the_limit_is_not_kept() -> None:
    """The limit holds even then, and the end moves on."""
    tail = tail_of(start=0, count=2, limit=1000)
    tail.append(publication(3, size=2000))
    assert (tail.start, tail.end) == (3, 3)
    assert tail.after(3, limit=1) == []
    assert tail.after(2, limit=1) is None


@given(st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=40), st.integers(0, 2000), st.integers(1, 50))
def test_it_is_the_newest_stretch_that_fits(start: int, sizes: list[int], limit: int, page: int) -> None:
    """Whatever the sizes: bounded, without a hole, ending at the newest, and no smaller than need be."""
    tail = Tail(end=start, limit=limit, count=1000)
    bodies: dict[int, int] = {}
    for offset, size in enumerate(sizes, start + 1):
        item = publication(offset, size=size)
        bodies[offset] = len(item.body)
        tail.append(item)
    kept = offsets(tail.after(tail.start, limit=1000))
    assert kept == list(range(tail.start + 1, start + len(sizes) + 1))
    assert sum(bodies[offset] for offset in kept) <= limit
    if tail.start > start:
        assert sum(bodies[offset] for offset in [tail.start, *kept]) > limit
    for offset in range(tail.start, tail.end + 1):
        assert offsets(tail.after(offset, limit=page)) == kept[offset - tail.start :][:page]
