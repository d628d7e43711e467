"""Who is in a room, read from the broker, kept true by signals, and told to the members."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from chat.broker import Broker
from chat.exceptions import BrokerUnavailable
from chat.protocol import LISTED_MEMBERS, Presence, User
from chat.roster import Change, Changes, People, Roster

CHANGES_TOGETHER = 0.1  # seconds: who comes and goes within that time is told in one event
COUNTS_TOGETHER = 1.0  # seconds: the same for a room in which only the number is told
SECOND_LOOK = 4.0  # seconds between two looks at who is here, after signals may have been missed


class Attendance:
    """Keeps a room's `Roster` true, and hands on what changes as `Presence`, a few times a second at most."""

    def __init__(
        self,
        room: str,
        broker: Broker,
        *,
        worker: str,
        own: Callable[[], list[User]],
        deliver: Callable[[Presence], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.roster = Roster()
        self._room = room
        self._broker = broker
        self._worker = worker
        self._own = own  # this worker's people, who need not be heard of
        self._deliver = deliver
        self._spawn = spawn
        self._changes = Changes()  # not told yet
        self._readers: list[list[People]] = []  # for each that reads the roster: who came and went meanwhile
        self._second_look: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read who is here; raises `BrokerUnavailable`."""
        self.roster.become(await self._broker.roster(self._room), own="")

    def close(self) -> None:
        """Look no more."""
        if self._second_look is not None:
            self._second_look.cancel()

    def heed(self, people: People) -> None:
        """Take in what a worker says of its people."""
        self._note(people)
        for heard in self._readers:
            heard.append(people)

    def forget(self, worker: str) -> list[str]:
        """Take the people of a worker that is gone off the roster; returns their ids."""
        ids = self.roster.on(worker)
        self._changed(self.roster.leave(worker, ids))
        return ids

    async def refresh(self) -> None:
        """Read again who is here, after signals may have been missed; raises `BrokerUnavailable`.

        Who is missing counts as gone at the second look: after an outage every worker enters its people again.
        """
        await self._read(sure=False)
        self.close()  # a look that is due from an earlier outage would come too soon after this one
        self._second_look = self._spawn(self._look_again())

    async def _look_again(self) -> None:
        await asyncio.sleep(SECOND_LOOK)
        with suppress(BrokerUnavailable):  # once it is back, `refresh` is called anew
            await self._read(sure=True)

    async def _read(self, *, sure: bool) -> None:
        heard: list[People] = []
        self._readers.append(heard)
        try:
            entries = await self._broker.roster(self._room)
        finally:
            self._readers = [other for other in self._readers if other is not heard]  # equal ones are not the same
        known = [] if sure else self.roster.entries()
        self._changed(self.roster.become([*known, *entries], own=self._worker))
        for people in heard:  # it may be newer than what was read
            self._note(people)
        own = {user.id: user for user in self._own()}
        self._changed(self.roster.leave(self._worker, [id for id in self.roster.on(self._worker) if id not in own]))
        self._changed(self.roster.enter(self._worker, own.values()))

    def _note(self, people: People) -> None:
        self._changed(self.roster.enter(people.worker, people.joined))
        self._changed(self.roster.leave(people.worker, people.left))

    def _changed(self, change: Change) -> None:
        if self._changes.add(change):
            patience = CHANGES_TOGETHER if self.roster.count <= LISTED_MEMBERS else COUNTS_TOGETHER
            asyncio.get_running_loop().call_later(patience, self._tell)

    def _tell(self) -> None:
        if (presence := self._changes.sum(self.roster)) is not None:
            self._deliver(presence)
