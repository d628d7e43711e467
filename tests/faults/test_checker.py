"""The checker finds every kind of broken promise, and nothing in a history that kept them all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checker import Event, History, Place, moved, violations


def welcome(offset: int = 0, *, epoch: str = "e", recovered: bool = True, user: str = "ann") -> Event:
    return {"type": "welcome", "epoch": epoch, "offset": offset, "recovered": recovered, "user": {"id": user}}


def message(offset: int, *, id: str = "", user: str = "ann", text: str = "") -> Event:
    return {"type": "message", "offset": offset, "id": id or f"m{offset}", "user": {"id": user}, "text": text}


def ack(offset: int, *, id: str = "", epoch: str = "e") -> Event:
    return {"type": "ack", "id": id or f"m{offset}", "epoch": epoch, "offset": offset, "duplicate": False}


def gap(after: int, before: int, *, epoch: str = "e") -> Event:
    return {"type": "gap", "after": after, "before": before, "epoch": epoch, "reason": "trimmed"}


def seen(*events: Event, since: Place | None = None, client: str = "ann", into: History | None = None) -> History:
    """Return a history in which a client, who has stayed, saw these events."""
    history = History() if into is None else into
    history.visit(client, since=since).events.extend(events)
    history.stayed.add(client)
    return history


def and_then(history: History, *events: Event, since: Place | None = None, client: str = "ann") -> History:
    return seen(*events, since=since, client=client, into=history)


def test_a_history_that_kept_all_promises_has_no_violations() -> None:
    """One stays, the other comes back, is told of a gap, and both have the rest."""
    history = History(retained=2)
    seen(welcome(), *[message(n) for n in range(1, 6)], ack(1), ack(5), into=history)
    seen(welcome(user="bob"), message(1), client="bob", into=history)
    back = (welcome(5, recovered=False, user="bob"), gap(1, 4), message(4), message(5))
    assert violations(and_then(history, *back, since=Place("e", 1), client="bob")) == []


def test_who_joins_late_starts_with_the_newest() -> None:
    """The first message may be any that the welcome covers, or the first one behind it."""
    history = seen(welcome(), *[message(n) for n in range(1, 101)])
    for number, first in enumerate([51, 80, 101]):
        and_then(history, welcome(100), *[message(n) for n in range(first, 102)], client=f"late {number}")
    and_then(history, welcome(100), message(101), since=Place("e", 100))
    assert violations(history) == []


def test_who_joins_an_empty_log_may_lose_what_comes_next() -> None:
    """It stands at the welcome's offset then, or below it if there were messages to begin with."""
    history = History(retained=1)
    seen(welcome(4), gap(4, 6), message(6), into=history)
    and_then(history, welcome(4), gap(2, 6), message(6), client="bob")
    assert violations(history) == []


def test_an_earlier_log_may_have_kept_less() -> None:
    """What was trimmed before the store was emptied cannot be had, whatever is kept now."""
    history = History(retained=5, epochs_lost=1)
    seen(welcome(), ack(1), ack(2), gap(0, 3), gap(2, 1, epoch="f"), message(1, id="new"), into=history)
    assert len(violations(history)) == 1
    history.retained_then["e"] = 0
    assert violations(history) == []


def test_a_new_epoch_is_no_violation_if_the_store_was_emptied() -> None:
    history = History(epochs_lost=1)
    seen(welcome(), message(1), ack(1), gap(1, 1, epoch="f"), message(1, id="new"), into=history)
    assert violations(history) == []


@pytest.mark.parametrize(
    ("why", "events"),
    [
        ("again", [welcome(), message(1), message(1)]),
        ("hole", [welcome(), message(1), message(3)]),
        ("hole", [welcome(), message(2)]),
        ("twice", [welcome(), message(1, id="x"), message(2, id="x")]),
        ("stood at", [welcome(), message(1), message(2), gap(1, 3), message(3)]),
        ("stood at", [welcome(1), gap(2, 4), message(4)]),
        ("stood at", [welcome(3), message(3), gap(2, 5), message(5)]),
        ("welcome comes first", [message(1)]),
        ("welcome comes first", [welcome(), welcome()]),
        ("still has", [welcome(), message(1), ack(2), gap(1, 3)]),
        ("only got to", [welcome(), message(1), ack(2)]),
        ("only got to", [welcome(60), message(11)]),
        ("where m1 is", [welcome(), message(1), ack(1, id="x")]),
        ("it is at", [welcome(), message(1), ack(1), ack(2, id="m1")]),
        ("2 epochs", [welcome(), message(1), gap(1, 1, epoch="f")]),
        ("right after", [welcome(100), message(102)]),
    ],
)
def test_what_one_client_saw_breaks_a_promise(why: str, events: list[Event]) -> None:
    found = violations(seen(*events))
    assert found
    assert why in found[0]


@pytest.mark.parametrize(
    ("why", "second"),
    [
        ("where others got", [welcome(), message(1, id="other")]),
        ("where others got", [welcome(), message(1, text="other")]),
        ("where others got", [welcome(), message(1, user="other")]),
        ("only got to", [welcome()]),
        ("twice", [welcome(), message(1), message(2, id="m1")]),
    ],
)
def test_what_two_clients_saw_does_not_fit_together(why: str, second: list[Event]) -> None:
    history = seen(welcome(), message(1))
    found = violations(and_then(history, *second, client="bob"))
    assert any(why in sentence for sentence in found), found


@pytest.mark.parametrize(
    ("why", "since", "events"),
    [
        ("had seen e:2", 1, [welcome(2), message(2)]),
        ("again", 2, [welcome(2), message(2)]),
        ("hole", 2, [welcome(4), message(4)]),
        ("of no gap", 2, [welcome(4, recovered=False), message(4)]),
        ("in epoch f", 2, [welcome(4, epoch="f")]),
    ],
)
def test_what_a_client_saw_when_it_came_back_breaks_a_promise(why: str, since: int, events: list[Event]) -> None:
    history = History(epochs_lost=1)
    seen(welcome(), message(1), message(2), into=history)
    found = violations(and_then(history, *events, since=Place("e", since)))
    assert any(why in sentence for sentence in found), found


def test_those_who_stayed_end_in_the_same_epoch() -> None:
    history = History(epochs_lost=1)
    seen(welcome(), gap(0, 1, epoch="f"), message(1), into=history)
    found = violations(and_then(history, welcome(), client="bob"))
    assert "different epochs" in found[0]


@pytest.mark.parametrize(
    ("at", "event", "then"),
    [
        (None, welcome(10), Place("e", 0)),
        (None, welcome(70), Place("e", 20)),
        (Place("e", 3), welcome(70), Place("e", 3)),
        (Place("e", 3), message(4), Place("e", 4)),
        (Place("e", 3), gap(3, 9, epoch="f"), Place("f", 8)),
        (Place("e", 3), {"type": "presence"}, Place("e", 3)),
    ],
)
def test_a_client_knows_up_to_where_it_has_seen_everything(at: Any, event: Event, then: Place) -> None:
    assert moved(at, event) == then
