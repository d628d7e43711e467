"""A broker, sockets and a clock that do what a test says, in process: for models of a room's life."""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broadcaster._backends.base import BroadcastBackend

from chat import protocol
from chat.broker.base import Beat, Broker, Quota, Then
from chat.events import Event, Link, Page, Position, Publication, Receipt, Signal
from chat.exceptions import BrokerUnavailable
from chat.frames import Batch
from chat.protocol import User
from chat.roster import PEOPLE, People
from chat.transport import Listener, Take
from tests.checker import Visit, moved


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: when nothing is left to do, its clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__(_SkippingSelector(self))
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class _SkippingSelector(selectors.SelectSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for somebody else"
        self._loop.now += timeout
        return super().select(0)


class Store:
    """What all workers share: one room's log, and who is in the room."""

    def __init__(self) -> None:
        self.epochs = 1
        self.offset = 0
        self.kept: deque[Publication] = deque()
        self.receipts: dict[str, Receipt] = {}
        self.people: dict[tuple[str, str], User] = {}  # by worker and id

    @property
    def epoch(self) -> str:
        return f"epoch-{self.epochs}"

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def append(self, body: bytes, origin: str) -> Publication:
        self.offset += 1
        publication = Publication(self.epoch, self.offset, 0, origin, body)
        self.kept.append(publication)
        return publication

    def skip_to(self, seen: Position | None) -> None:
        if seen is not None and seen.epoch == self.epoch:
            self.offset = max(self.offset, seen.offset)

    def trim(self, count: int) -> None:
        """Forget the oldest messages."""
        for _ in range(min(count, len(self.kept))):
            self.kept.popleft()

    def empty(self) -> None:
        """Forget everything; what comes is a new epoch."""
        self.epochs += 1
        self.offset = 0
        self.kept.clear()
        self.receipts.clear()
        self.people.clear()


class ScriptedBroker(Broker):
    """One worker's way to the store. Takes its time with every answer, and can lose and hold back what it pushes."""

    def __init__(self, store: Store, others: list[ScriptedBroker], rand: random.Random) -> None:
        super().__init__()
        self.store = store
        self.up = True
        self._posting: set[asyncio.Task[None]] = set()
        self.holding = False  # live events arrive late
        self.losing = 0  # so many of the next live events are lost, and nobody says so
        self._others = others  # all that share the store, this one included
        self._rand = rand
        self._arrived: asyncio.Queue[Event] = asyncio.Queue()
        self._held: deque[Event] = deque()

    # --- what a test does to it ---

    def go_away(self) -> None:
        if self.up:
            self.up = False
            self._held.clear()
            self._arrived.put_nowait(Link.DOWN)

    def come_back(self) -> None:
        if not self.up:
            self.up = True
            self._arrived.put_nowait(Link.UP)

    def release(self) -> None:
        """Let what was held back arrive."""
        self.holding = False
        while self._held:
            self._arrived.put_nowait(self._held.popleft())

    async def next_event(self) -> Event:
        return await self._arrived.get()

    def _hear(self, event: Publication | Signal) -> None:
        if not self.up:
            return
        if self.losing and isinstance(event, Publication):
            self.losing -= 1
        elif self.holding:
            self._held.append(event)
        else:
            self._arrived.put_nowait(event)

    async def _way(self) -> None:
        """Go to the store, or back."""
        if not self.up:
            raise BrokerUnavailable("away")
        await asyncio.sleep(self._rand.choice([0, 0, 0.001, 0.05]))
        if not self.up:
            raise BrokerUnavailable("went away")

    def _tell_all(self, event: Publication | Signal) -> None:
        for broker in self._others:
            broker._hear(event)

    # --- chat.broker.Broker ---

    @property
    def available(self) -> bool:
        return self.up

    def backend(self) -> BroadcastBackend:
        raise NotImplementedError

    def channel(self, room: str) -> str:
        return room

    def post(
        self,
        room: str,
        body: bytes,
        then: Then,
        *,
        origin: str = "-",
        key: str | None = None,
        seen: Position | None = None,
    ) -> None:
        async def post() -> None:
            try:
                then(await self._append(body, origin, key, seen))
            except BrokerUnavailable as error:
                then(error)

        task = asyncio.get_running_loop().create_task(post())
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _append(self, body: bytes, origin: str, key: str | None, seen: Position | None) -> Receipt:
        await self._way()
        if key is not None and key in self.store.receipts:
            receipt = self.store.receipts[key]._replace(duplicate=True)
        else:
            self.store.skip_to(seen)
            publication = self.store.append(body, origin)
            receipt = Receipt(publication.epoch, publication.offset, duplicate=False)
            if key is not None:
                self.store.receipts[key] = receipt
            self._tell_all(publication)
        await self._way()
        return receipt

    async def signal(self, room: str, signal: Signal) -> None:
        await self._way()
        self._tell_all(signal)

    async def position(self, room: str, *, seen: Position | None = None) -> Position:
        await self._way()
        self.store.skip_to(seen)
        position = self.store.position
        await self._way()
        return position

    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Page:
        await self._way()
        position = self.store.position
        if self._rand.random() < 0.3:
            await self._way()  # as in Redis, where others may come between the two reads
        if after is not None:
            found = [p for p in self.store.kept if p.offset > after][:limit]
        else:
            found = [p for p in self.store.kept if before is None or p.offset < before][-limit:]
        await self._way()
        return Page(position, found)

    async def enrol(self, room: str, people: People) -> None:
        await self._way()
        self.store.people.update({(people.worker, user.id): user for user in people.joined})
        for id in people.left:
            self.store.people.pop((people.worker, id), None)
        self._tell_all(Signal(PEOPLE, "-", protocol.encode(people)))

    async def strike(self, room: str, worker: str, ids: Iterable[str]) -> None:
        raise NotImplementedError

    async def roster(self, room: str) -> list[tuple[str, User]]:
        await self._way()
        entries = [(worker, user) for (worker, _), user in self.store.people.items()]
        await self._way()
        return entries

    async def beat(self, worker: str) -> Beat:
        raise NotImplementedError

    async def claim(self, worker: str, quotas: Sequence[Quota]) -> Quota | None:
        raise NotImplementedError

    async def vacate(self, worker: str, seats: Mapping[str, int]) -> None:
        raise NotImplementedError

    async def restate(self, worker: str, seats: Mapping[str, int]) -> None:
        raise NotImplementedError


class ScriptedTransport:
    """A socket whose client reads, or does not; what it reads goes to its visit."""

    write_frames: Callable[[bytes], None] | None = None
    compress_from = 0

    def __init__(self, visit: Visit, *, reading: bool) -> None:
        self.paused = False
        self.reading = reading
        self.close_code = 0
        self._visit = visit
        self._unread: deque[bytes] = deque()
        self._limit = 0
        self._listener: Listener | None = None

    def read(self, count: int) -> None:
        """Let the client read so many messages."""
        for _ in range(min(count, len(self._unread))):
            self._visit.events.append(json.loads(self._unread.popleft()))
        if self.paused and self.waiting() <= self._limit // 2:
            self.paused = False
            assert self._listener is not None
            self._listener.resumed()

    # --- chat.transport.Transport ---

    def hold(self) -> None:
        pass

    def attach(self, listener: Listener, *, limit: int) -> None:
        self._listener = listener
        self._limit = limit

    def write(self, batch: Batch) -> None:
        if self.close_code:
            return
        self._unread.extend(payload.data for payload in batch.payloads)
        if self.reading:
            self.read(len(self._unread))
        elif self.waiting() > self._limit and not self.paused:
            self.paused = True
            assert self._listener is not None
            self._listener.paused()

    def waiting(self) -> int:
        return sum(map(len, self._unread))

    def close(self, code: int, reason: str) -> None:
        self.close_code = self.close_code or code

    async def closed(self) -> None:
        pass

    def hand_over(self, take: Take) -> bool:
        return False

    def listen(self, on: bool) -> None:
        raise NotImplementedError


def position_of(visits: Iterable[Visit]) -> Any:
    """Return up to where the client of these visits has seen everything."""
    at = None
    for visit in visits:
        for event in visit.events:
            at = moved(at, event, newest=visit.newest)
    return at
