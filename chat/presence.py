"""Keeps the broker's rosters true for this worker's people, and notices workers that are gone."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from chat.broker import Broker
from chat.broker.base import BEAT, Beat
from chat.exceptions import BrokerUnavailable
from chat.protocol import User
from chat.room import Room
from chat.roster import People

logger = logging.getLogger("chat.presence")

TOGETHER = 0.05  # seconds: what happens in one room within that time is told at once
RETRY = 1.0  # seconds after which what could not be told is tried again

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Presence:
    """Counts this worker's sockets per person and room, and tells the broker of the first and the last.

    The last counts only after a grace time, so that a reload is no leave. A worker that dies cannot tell; the others
    notice that it shows no sign of life, and strike its people off.
    """

    def __init__(
        self, worker: str, broker: Broker, *, grace: float, spawn: Spawn, on_beat: Callable[[Beat], None]
    ) -> None:
        self.worker = worker
        self._on_beat = on_beat  # hears of every sign of life
        self._broker = broker
        self._grace = grace
        self._spawn = spawn
        self._here: dict[str, _Here] = {}  # by room
        self._shown = asyncio.Event()  # that this worker lives; nobody is entered before

    def enter(self, room: str, user: User) -> None:
        """A socket of a person joined."""
        here = self._here.setdefault(room, _Here())
        here.sockets[user.id] += 1
        if (timer := here.leaving.pop(user.id, None)) is not None:
            timer.cancel()
        if here.users.get(user.id) != user:
            here.users[user.id] = user
            here.untold.joined.append(user)
            self._tell_soon(room, here)

    def leave(self, room: str, user: User) -> None:
        """A socket of a person closed."""
        here = self._here[room]
        here.untold.closed.append(user)
        self._tell_soon(room, here)
        here.sockets[user.id] -= 1
        if not here.sockets[user.id]:
            del here.sockets[user.id]
            loop = asyncio.get_running_loop()
            here.leaving[user.id] = loop.call_later(self._grace, self._left, room, here, user.id)

    def _left(self, room: str, here: _Here, id: str) -> None:
        del here.leaving[id]
        del here.users[id]
        here.untold.left.append(id)
        self._tell_soon(room, here)

    def _tell_soon(self, room: str, here: _Here) -> None:
        if not here.telling:
            here.telling = True
            self._spawn(self._tell(room, here))

    async def _tell(self, room: str, here: _Here) -> None:
        """Tell the broker what it does not know yet of a room; until it does, whatever happens to it."""
        delay = TOGETHER
        await self._shown.wait()
        while here.untold.joined or here.untold.left or here.untold.closed:
            await asyncio.sleep(delay)
            people = self._settled(here)
            here.untold = People(self.worker)
            try:
                await self._broker.enrol(room, people)
            except BrokerUnavailable:
                here.untold.joined[:0] = people.joined
                here.untold.left[:0] = people.left
                delay = RETRY
        here.telling = False
        if not here.users and self._here.get(room) is here:
            del self._here[room]

    def _settled(self, here: _Here) -> People:
        """Return what is untold as it stands now: who came and went in the meantime is in one list only."""
        told = here.untold
        joined = {user.id: here.users[user.id] for user in told.joined if user.id in here.users}
        left = {id: None for id in told.left if id not in here.users}
        return People(self.worker, list(joined.values()), list(left), told.closed)

    def here(self, room: str) -> list[User]:
        """Return this worker's people in a room, who have a socket or are within the grace time."""
        return list(self._here[room].users.values()) if room in self._here else []

    async def watch(self, rooms: Callable[[], Iterable[Room]]) -> None:
        """Show that this worker lives, and strike off the people of those that do not, until cancelled."""
        suspects: set[str] = set()
        while True:
            try:
                beat = await self._broker.beat(self.worker)
                self._shown.set()
                self._on_beat(beat)
                if beat.was_gone:
                    self._tell_all_again()
                said = {worker for room in rooms() for worker in room.attendance.roster.workers()}
                gone = said - beat.live - {self.worker}
                # Only at the second look: the answer may be older than a new worker's first sign of life.
                for room in rooms():
                    for worker in gone & suspects & room.attendance.roster.workers():
                        await self._broker.strike(room.name, worker, room.attendance.forget(worker))
                suspects = gone
                pause = BEAT
            except BrokerUnavailable:
                suspects = set()
                pause = RETRY
            await asyncio.sleep(pause)

    def _tell_all_again(self) -> None:
        """The others took this worker for gone, and its people with it."""
        for room, here in self._here.items():
            here.untold.joined.extend(here.users.values())
            self._tell_soon(room, here)


class _Here:
    """One room's people on this worker."""

    def __init__(self) -> None:
        self.sockets: Counter[str] = Counter()  # by user id
        self.users: dict[str, User] = {}  # with a socket, or within the grace time
        self.leaving: dict[str, asyncio.TimerHandle] = {}  # by user id: the grace time
        self.untold = People("")  # what the broker does not know yet
        self.telling = False
