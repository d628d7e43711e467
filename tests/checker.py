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
    newest: int = 50  # messages that it wanted if it did not say `since`
    events: list[Event] = field(default_factory=list)


@dataclass
class History:
    """What all clients saw of one room, and what was done to it."""

    visits: list[Visit] = field(default_factory=list)  # each client's in their order
    retained: int = 1000  # messages that the log keeps
    retained_then: dict[str, int] = field(default_factory=dict)  # the same at the end of an epoch, if it was less
    epochs_lost: int = 0  # how often the store was emptied
    stayed: set[str] = field(default_factory=set)  # clients that were connected, and reading, at the end

    def visit(self, client: str, *, since: Place | None = None, newest: int = 50) -> Visit:
        """Note that a client connected; what it sees goes to the visit's `events`."""
        visit = Visit(client, since, newest)
        self.visits.append(visit)
        return visit


def violations(history: History) -> list[str]:
    """Return a sentence for every broken promise."""
    return list(_Proof(history).broken())


def moved(at: Place | None, event: Event, *, newest: int = 50) -> Place | None:
    """Return up to where a client at `at` has seen everything once it got `event`: what it resumes from."""
    match event["type"]:
        case "welcome" if at is None:
            return Place(event["epoch"], max(event["offset"] - newest, 0))
        case "gap":
            return Place(event["epoch"], event["before"] - 1)
        case "message":
            assert at is not None, "a message before the welcome"
            return Place(at.epoch, event["offset"])
    return at


class _Proof:
    """Goes through a history once, client by client, and then compares."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._messages: dict[Place, tuple[str, str, object]] = {}  # author, id and text, by place
        self._places: dict[tuple[str, str, str], Place] = {}  # by epoch, author and id
        self._newest: dict[str, int] = {}  # offset, by epoch: seen or acknowledged
        self._acknowledged: set[Place] = set()
        self._gaps: list[tuple[str, Place, Event]] = []  # client, where it stood, the gap
        self._ends: dict[str, Place | None] = {}  # by client: up to where it has seen everything

    def broken(self) -> Iterator[str]:
        for visit in self._history.visits:
            yield from self._along(visit)
        for visit in self._history.visits:
            yield from self._acks(visit)
        yield from self._unexplained_epochs()
        yield from self._needless_gaps()
        yield from self._left_behind()

    def _along(self, visit: Visit) -> Iterator[str]:
        """Walk along one connection, holding every event to what was promised before it."""
        client, at = visit.client, visit.since
        if at is not None and at != self._ends.get(client):
            yield f"{client} asked for what follows {_at(at)}, but had seen {_at(self._ends.get(client))}"
        live_from = 0  # the newest offset that may come first to a client that said no `since`
        gap_due = False
        for number, event in enumerate(visit.events):
            kind = event["type"]
            if (number == 0) != (kind == "welcome"):
                yield f"{client}: event {number} of the connection is {kind}; welcome comes first, and once"
                return
            if kind == "welcome":
                self._reached(Place(event["epoch"], event["offset"]))
                live_from = event["offset"] + 1 if at is None else 0
                gap_due = at is not None and not event["recovered"]
                if at is not None and event["recovered"] and at.epoch != event["epoch"]:
                    yield f"{client} was told that all after {_at(at)} follows, in epoch {event['epoch']}"
            elif kind == "gap":
                assert at is not None
                self._gaps.append((client, at, event))
                self._reached(Place(event["epoch"], event["before"] - 1))
                # Who said no `since` stands where its first message is, or at the welcome's offset if there is none.
                if not at.offset <= event["after"] <= max(at.offset, live_from - 1):
                    yield f"{client} stood at {_at(at)} and was told of a gap after {event['after']}"
                gap_due, live_from = False, 0
            elif kind == "message":
                assert at is not None
                place = Place(at.epoch, event["offset"])
                yield from self._said(client, place, event)
                if gap_due:
                    yield f"{client} was told that it is not recovered, but of no gap, before {_at(place)}"
                elif place.offset <= at.offset:
                    yield f"{client} got {_at(place)} again, after {_at(at)}"
                elif place.offset > max(at.offset + 1, live_from):
                    yield f"{client} got {_at(place)} right after {_at(at)}: a hole without a gap"
                gap_due, live_from = False, 0
            at = moved(at, event, newest=visit.newest)
        self._ends[client] = at

    def _said(self, client: str, place: Place, event: Event) -> Iterator[str]:
        """One order: the same message at a place for everybody, and one place for a message."""
        author, id = event["user"]["id"], event["id"]
        known = self._messages.setdefault(place, (author, id, event.get("text")))
        if known != (author, id, event.get("text")):
            yield f"{client} got {id} at {_at(place)}, where others got {known[1]}"
        first = self._places.setdefault((place.epoch, author, id), place)
        if first != place:
            yield f"message {id} is there twice: at {_at(first)} and at {_at(place)}"
        self._reached(place)

    def _acks(self, visit: Visit) -> Iterator[str]:
        """What is acknowledged is the message that everybody gets at that place."""
        for event in visit.events:
            if event["type"] != "ack":
                continue
            place, id = Place(event["epoch"], event["offset"]), event["id"]
            author = visit.events[0]["user"]["id"]
            self._acknowledged.add(place)
            self._reached(place)
            known = self._messages.get(place)
            first = self._places.setdefault((place.epoch, author, id), place)
            if known is not None and known[:2] != (author, id):
                yield f"{visit.client} was told that {id} is at {_at(place)}, where {known[1]} is"
            elif first != place:
                yield f"{visit.client} was told that {id} is at {_at(place)}; it is at {_at(first)}"

    def _unexplained_epochs(self) -> Iterator[str]:
        if len(self._newest) > 1 + self._history.epochs_lost:
            yield f"{len(self._newest)} epochs, though the store was emptied {self._history.epochs_lost} times"

    def _needless_gaps(self) -> Iterator[str]:
        """A gap is for what the log does not have any more; what it still has must be delivered."""
        for client, at, gap in self._gaps:
            epoch, before = gap["epoch"], gap["before"]
            first = at.offset + 1 if at.epoch == epoch else 1
            retained = self._history.retained_then.get(epoch, self._history.retained)
            kept_from = self._newest[epoch] - retained + 1
            lost = [o for o in range(max(first, kept_from), before) if Place(epoch, o) in self._acknowledged]
            if lost:
                yield f"{client} at {_at(at)} was told of a gap, {gap}, over {lost[:5]}, which the log still has"

    def _left_behind(self) -> Iterator[str]:
        """Who stayed has got to the end; together with no hole on the way this is: has everything."""
        ends = {client: self._ends.get(client) for client in sorted(self._history.stayed)}
        epochs = {end.epoch for end in ends.values() if end is not None}
        if len(epochs) > 1:
            yield f"those who stayed ended in different epochs: {ends}"
        for client, end in ends.items():
            if end is None or end.offset != self._newest[end.epoch]:
                newest = end and self._newest[end.epoch]
                yield f"{client} stayed, but only got to {_at(end)} of {newest}"

    def _reached(self, place: Place) -> None:
        self._newest[place.epoch] = max(self._newest.get(place.epoch, 0), place.offset)


def _at(place: Place | None) -> str:
    return "nothing" if place is None else f"{place.epoch}:{place.offset}"
