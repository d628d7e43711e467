"""Who is in a room, over all workers; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from chat.protocol import LISTED_MEMBERS, Presence, User

PEOPLE = "people"  # the kind of signal by which workers tell each other who came and went


class People(Struct):
    """The body of such a signal: who has sockets on a worker now, who has not, and whose sockets closed."""

    worker: str
    joined: list[User] = []
    left: list[str] = []  # user ids
    closed: list[User] = []  # a person for each socket


class Change(NamedTuple):
    """What a step changed: people who are here now and were not before, and the other way round."""

    joined: list[User]
    left: list[User]


class Roster:
    """People, not sockets: one is here as long as some worker says so."""

    def __init__(self) -> None:
        self._people: dict[str, User] = {}  # by id
        self._workers: dict[str, set[str]] = {}  # by user id: where the person has sockets

    @property
    def count(self) -> int:
        """How many people are here."""
        return len(self._people)

    def has(self, id: str) -> bool:
        """Return whether a person is here."""
        return id in self._people

    def listed(self) -> list[User]:
        """Return everybody, or nobody in a room that is too large to be listed."""
        return list(self._people.values()) if self.count <= LISTED_MEMBERS else []

    def enter(self, worker: str, users: Iterable[User]) -> Change:
        """Note that people have sockets on a worker."""
        joined = []
        for user in users:
            if self._people.get(user.id) != user:  # new here, or under another name
                joined.append(user)
            self._people[user.id] = user
            self._workers.setdefault(user.id, set()).add(worker)
        return Change(joined, [])

    def leave(self, worker: str, ids: Iterable[str]) -> Change:
        """Note that people have no sockets on a worker any more."""
        left = []
        for id in ids:
            workers = self._workers.get(id, set())
            workers.discard(worker)
            if not workers and id in self._people:
                left.append(self._people.pop(id))
                self._workers.pop(id, None)
        return Change([], left)

    def workers(self) -> set[str]:
        """Return the workers on which somebody is said to be."""
        return set().union(*self._workers.values())

    def entries(self) -> list[tuple[str, User]]:
        """Return everybody with every worker that says so."""
        return [(worker, self._people[id]) for id, workers in self._workers.items() for worker in workers]

    def on(self, worker: str) -> list[str]:
        """Return the ids of the people on a worker."""
        return [id for id, workers in self._workers.items() if worker in workers]

    def become(self, entries: Iterable[tuple[str, User]], *, own: str) -> Change:
        """Take (worker, user) pairs for the truth about all but the `own` worker; return what that changed."""
        before, workers = self._people, self._workers
        self._people, self._workers = {}, {}
        self.enter(own, [user for id, user in before.items() if own in workers[id]])
        for worker, user in entries:
            if worker != own:
                self.enter(worker, [user])
        return Change(
            [user for id, user in self._people.items() if id not in before],
            [user for id, user in before.items() if id not in self._people],
        )


class Changes:
    """Adds changes up into one `presence` event; who came and went in between is in none of its lists."""

    def __init__(self) -> None:
        self._joined: dict[str, User] = {}
        self._left: dict[str, User] = {}

    def add(self, change: Change) -> bool:
        """Take a change; returns whether it is the first since `sum`."""
        first = not self._joined and not self._left
        for user in change.joined:
            if self._left.pop(user.id, None) != user:
                self._joined[user.id] = user
        for user in change.left:
            if self._joined.pop(user.id, None) is None:
                self._left[user.id] = user
        return first and bool(change.joined or change.left)

    def sum(self, roster: Roster) -> Presence | None:
        """Return all changes since the last time as one event, or None if they came to nothing."""
        joined, left = list(self._joined.values()), list(self._left.values())
        self._joined, self._left = {}, {}
        if not joined and not left:
            return None
        if roster.count > LISTED_MEMBERS:
            return Presence([], [], roster.count)
        return Presence(joined, left, roster.count)
