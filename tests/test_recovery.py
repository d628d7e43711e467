"""Whichever of log and live traffic brings a message first: no hole, no double, and loss is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.events import Page, Position, Publication
from chat.recovery import Place, gap, place
from tests.publications import publication, publications


@pytest.mark.parametrize(
    ("offset", "epoch", "expected"),
    [
        (6, "e", Place.NEXT),
        (5, "e", Place.SEEN),
        (1, "e", Place.SEEN),
        (7, "e", Place.AHEAD),
        (6, "other", Place.ELSEWHERE),
    ],
)
def test_a_publication_has_one_place(offset: int, epoch: str, expected: Place) -> None:
    """Seen from somebody who has five messages."""
    assert place(Position("e", 5), publication(offset, epoch=epoch)) is expected


def page(*offsets: int, newest: int, epoch: str = "e") -> Page:
    return Page(Position(epoch, newest), publications(*offsets, epoch=epoch))


def test_a_page_that_follows_leaves_no_gap() -> None:
    """Nothing to announce."""
    assert gap(Position("e", 5), page(6, 7, newest=9)) is None


def test_an_empty_page_for_who_has_everything_is_no_gap() -> None:
    """Nothing is missing to who is up to date."""
    assert gap(Position("e", 5), page(newest=5)) is None


def test_what_was_trimmed_is_a_gap() -> None:
    """The log no longer reaches back: both bounds are exclusive."""
    missing = gap(Position("e", 5), page(9, 10, newest=10))
    assert missing is not None
    assert (missing.after, missing.before, missing.reason) == (5, 9, "trimmed")


def test_a_log_that_keeps_nothing_any_more_is_a_gap_up_to_its_end() -> None:
    """Expired as a whole; the position goes on behind the newest."""
    missing = gap(Position("e", 5), page(newest=8))
    assert missing is not None
    assert (missing.after, missing.before) == (5, 9)


def test_another_epoch_is_a_gap_even_if_the_offsets_fit() -> None:
    """Offsets of different logs have nothing to do with each other."""
    missing = gap(Position("e", 5), page(6, 7, newest=7, epoch="f"))
    assert missing is not None
    assert (missing.before, missing.reason, missing.epoch) == (6, "epoch", "f")


class Reader:
    """Follows a log by the rules of `place` and `gap`, as rooms do, and notes what it delivers."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.delivered: list[int] = []
        self.lost: list[int] = []

    def take(self, item: Publication) -> None:
        if place(self.position, item) is Place.NEXT:
            self.delivered.append(item.offset)
            self.position = Position(item.epoch, item.offset)

    def read(self, page: Page) -> None:
        if (missing := gap(self.position, page)) is not None:
            self.lost.extend(range(missing.after + 1, missing.before))
            self.position = Position(missing.epoch, missing.before - 1)
        for item in page.publications:
            self.take(item)


@given(st.data())
def test_any_interleaving_of_log_and_live_delivers_each_once_in_order(data: st.DataObject) -> None:
    """Live traffic may be lost, doubled and late; pages may be short, old, trimmed. Nothing is ever wrong."""
    newest = data.draw(st.integers(0, 30), label="newest")
    start = data.draw(st.integers(0, newest), label="start")
    reader = Reader(Position("e", start))
    for _ in range(data.draw(st.integers(0, 30), label="steps")):
        if data.draw(st.booleans(), label="live"):
            reader.take(publication(data.draw(st.integers(1, 30))))
            continue
        known = data.draw(st.integers(reader.position.offset, max(newest, reader.position.offset)), label="log's end")
        kept_after = data.draw(st.integers(0, known), label="trimmed up to")
        first = max(reader.position.offset, kept_after) + 1
        limit = data.draw(st.integers(1, 10), label="limit")
        reader.read(page(*range(first, known + 1)[:limit], newest=known))
    everything = sorted(reader.delivered + reader.lost)
    assert everything == list(range(start + 1, reader.position.offset + 1))
    assert reader.delivered == sorted(set(reader.delivered))


@given(st.integers(0, 20), st.integers(0, 40), st.integers(1, 7), st.lists(st.integers(1, 40)))
def test_reading_to_the_end_delivers_everything(start: int, more: int, limit: int, live: list[int]) -> None:
    """Page by page, with live messages thrown in at will, a reader gets to the end without a loss."""
    end, reader, thrown_in = start + more, Reader(Position("e", start)), iter(live)
    while reader.position.offset < end:
        reader.take(publication(min(next(thrown_in, 1), end)))
        first = reader.position.offset + 1
        reader.read(page(*range(first, end + 1)[:limit], newest=end))
    assert reader.delivered == list(range(start + 1, end + 1))
    assert not reader.lost
