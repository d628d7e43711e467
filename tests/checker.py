"""Proves from what clients saw that a room kept its promises: one order, nothing lost silently, nothing doubled; pure.

    history = History()
    visit = history.visit("ann", since=None)
    visit.events.append({"type": "welcome", …})
    assert violations(history) == []
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Event = dict[str, Any]


class Place(NamedTuple):
    """Where a message stands, or up to where a client has seen everything."""

    epoch: str
    offset: int


@dataclass
class Visit:
    """One connection of a client: what it asked for, and every event it got, in order, beginning with `welcome`."""

    client: str
    since: Place | None
    events: list[Event] = field(default_factory=list)


@dataclass
class History:
    """What all clients saw of one room, and what was done to it."""

    visits: list[Visit] = field(default_factory=list)  # each client's in their order
    retained: int = 1000  # messages that the log keeps
    epochs_lost: int = 0  # how often the store was emptied
    stayed: set[str] = field(default_factory=set)  # clients that were connected, and reading, at the end

    def visit(self, client: str, *, since: Place | None = None) -> Visit:
        """Note that a client connected; what it sees goes to the visit's `events`."""
        visit = Visit(client, since)
        self.visits.append(visit)
        return visit


def violations(history: History) -> list[str]:
    """Return a sentence for every broken promise."""
    return list(_Proof(history).broken())


class _Proof:
    """Goes through a history once, client by client, and then compares."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._messages: dict[Place, tuple[str, str]] = {}  # author and id, by place
        self._places: dict[tuple[str, str, str], Place] = {}  # by epoch, author and id
        self._newest: dict[str, int] = {}  # offset, by epoch: seen or acknowledged
        self._acknowledged: set[Place] = set()
        self._gaps: list[tuple[str, Place | None, Event]] = []  # client, where it stood, the gap
        self._ends: dict[str, Place | None] = {}  # by client: where its last visit ended
        self._epochs: list[str] = []  # in the order in which they were first seen

    def broken(self) -> Iterator[str]:
        for visit in self._history.visits:
            yield from self._follow(visit)
        for visit in self._history.visits:
            yield from self._acks(visit)
        yield from self._unannounced_epochs()
        yield from self._needless_gaps()
        yield from self._left_behind()

    def _follow(self, visit: Visit) -> Iterator[str]:
        """Walk along one connection, holding every event to what was promised before it."""
        client, before = visit.client, self._ends.get(visit.client)
        if visit.since is not None and visit.since != before:
            yield f"{client} asked for what follows {_at(visit.since)}, but had seen {_at(before)}"
        at: Place | None = visit.since
        live_from: Place | None = None  # where the welcome says that live traffic begins
        gap_due = False
        for number, event in enumerate(visit.events):
            kind = event["type"]
            if (number == 0) != (kind == "welcome"):
                yield f"{client}: event {number} of the connection is {kind}; welcome comes first, and once"
            if kind == "welcome":
                self._note_epoch(event["epoch"])
                live_from = Place(event["epoch"], event["offset"])
                self._reached(live_from)
                gap_due = at is not None and not event["recovered"]
                if at is None:
                    at_epoch = live_from.epoch
                elif not gap_due:
                    at_epoch = at.epoch
                    if at.epoch != live_from.epoch:
                        yield f"{client} was told that all after {_at(at)} follows, in epoch {live_from.epoch}"
            elif kind == "gap":
                self._gaps.append((client, at, event))
                self._note_epoch(event["epoch"])
                if at is not None and event["after"] != at.offset:
                    yield f"{client} stood at {_at(at)} and was told of a gap after {event['after']}"
                at = Place(event["epoch"], event["before"] - 1)
                gap_due = False
            elif kind == "message":
                if gap_due:
                    yield f"{client} was told that it is not recovered, but of no gap, before {event['offset']}"
                    gap_due = False
                epoch = at.epoch if at is not None else at_epoch
                place = Place(epoch, event["offset"])
                yield from self._said(client, place, event)
                if at is None and live_from is not None and place.offset > live_from.offset + 1:
                    yield f"{client} is live from {_at(live_from)} on, but first got {_at(place)}"
                elif at is not None and place.offset <= at.offset:
                    yield f"{client} got {_at(place)} again, after {_at(at)}"
                elif at is not None and place.offset > at.offset + 1:
                    yield f"{client} got {_at(place)} right after {_at(at)}: a hole without a gap"
                at = place
        if at is None and live_from is not None:
            at = live_from
        self._ends[client] = at

    def _said(self, client: str, place: Place, event: Event) -> Iterator[str]:
        """One order: the same message at a place for everybody, and one place for a message."""
        message = (event["user"]["id"], event["id"])
        known = self._messages.setdefault(place, message)
        if known != message:
            yield f"{client} got {message[1]} at {_at(place)}, where others got {known[1]}"
        first = self._places.setdefault((place.epoch, *message), place)
        if first != place:
            yield f"message {message[1]} is there twice: at {_at(first)} and at {_at(place)}"
        self._reached(place)

    def _acks(self, visit: Visit) -> Iterator[str]:
        """What is acknowledged is the message that everybody gets at that place."""
        for event in visit.events:
            if event["type"] != "ack":
                continue
            place = Place(event["epoch"], event["offset"])
            self._acknowledged.add(place)
            self._reached(place)
            known = self._messages.get(place)
            if known is not None and known[1] != event["id"]:
                yield f"{visit.client} was told that {event['id']} is at {_at(place)}, where {known[1]} is"
            author = next((e["user"]["id"] for e in visit.events if e["type"] == "welcome"), "?")
            first = self._places.setdefault((place.epoch, author, event["id"]), place)
            if first != place:
                yield f"{visit.client} was told that {event['id']} is at {_at(place)}; it is at {_at(first)}"

    def _unannounced_epochs(self) -> Iterator[str]:
        if len(self._epochs) > 1 + self._history.epochs_lost:
            yield f"there were {len(self._epochs)} epochs, though the store was emptied {self._history.epochs_lost} times"

    def _needless_gaps(self) -> Iterator[str]:
        """A gap is for what the log does not have any more; what it still has must be delivered."""
        for client, at, gap in self._gaps:
            epoch, before = gap["epoch"], gap["before"]
            first = gap["after"] + 1 if at is not None and at.epoch == epoch else 1
            kept_from = self._newest.get(epoch, 0) - self._history.retained + 1
            lost = [o for o in range(max(first, kept_from), before) if Place(epoch, o) in self._acknowledged]
            if lost and at is not None:
                yield f"{client} was told of a gap ({gap}) over {lost[:5]}, acknowledged and still in the log"

    def _left_behind(self) -> Iterator[str]:
        """Who stayed has got to the end; together with no hole on the way this is: has everything."""
        if not self._epochs:
            return
        epoch = self._epochs[-1]
        newest = Place(epoch, self._newest.get(epoch, 0))
        for client in sorted(self._history.stayed):
            end = self._ends.get(client)
            if end != newest:
                yield f"{client} stayed, but only got to {_at(end)} of {_at(newest)}"

    def _note_epoch(self, epoch: str) -> None:
        if epoch not in self._epochs:
            self._epochs.append(epoch)

    def _reached(self, place: Place) -> None:
        self._newest[place.epoch] = max(self._newest.get(place.epoch, 0), place.offset)


def _at(place: Place | None) -> str:
    return "nothing" if place is None else f"{place.epoch}:{place.offset}"
