"""A broker inside one process: for trying out, for tests, for one worker."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from broadcaster._backends.memory import MemoryBackend

from chat import metrics, protocol
from chat.broker import sole_worker
from chat.broker.base import Beat, Broker, Quota, Then, new_epoch
from chat.events import Page, Position, Publication, Receipt, Signal
from chat.protocol import User
from chat.roster import PEOPLE, People
from chat.settings import Settings

SWEEP_EVERY = 1024  # publishes, or rooms that are asked for, between two looks for what has expired
UNUSED_FOR = 60.0  # seconds after which a room in which nobody is, and nothing was ever said, is forgotten


class MemoryBroker(Broker):
    """Keeps every room's log in this process; other processes do not see it. Never unavailable."""

    available = True

    async def connect(self) -> None:
        """Start; raises `SettingsError` if the server runs this app in several workers."""
        sole_worker.claim()
        self._people.clear()
        self._seats.clear()
        await super().connect()

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._settings = settings
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._people: dict[str, dict[str, tuple[str, User]]] = {}  # by room and user id
        self._seats: Counter[str] = Counter()  # taken, by quota
        self._until_sweep = SWEEP_EVERY

    def backend(self) -> MemoryBackend:
        return MemoryBackend("memory://")

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
        metrics.published.inc()
        now = self._clock()
        log = self._log(room)
        if key is not None and (known := log.receipts.get(key)) is not None and known[0] > now:
            then(known[1])
            return
        publication = log.append(Publication(log.epoch, log.offset + 1, int(now * 1000), origin, body))
        log.touched = now
        if key is not None and self._settings.idempotency_ttl:
            receipt = Receipt(log.epoch, log.offset, duplicate=True)
            log.receipts[key] = (now + self._settings.idempotency_ttl, receipt)
        self.deliver(room, publication)
        self._sweep_now_and_then(now)
        then(Receipt(publication.epoch, publication.offset, duplicate=False))

    async def signal(self, room: str, signal: Signal) -> None:
        self.deliver(room, signal)

    async def position(self, room: str, *, seen: Position | None = None) -> Position:
        log = self._log(room)
        return Position(log.epoch, log.offset)

    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Page:
        log = self._log(room)
        first = log.offset - len(log.kept) + 1
        if after is not None:
            start = max(after + 1 - first, 0)
        else:
            end = log.offset + 1 if before is None else min(before, log.offset + 1)
            start = max(end - limit - first, 0)
            limit = min(limit, max(end - first - start, 0))
        return Page(Position(log.epoch, log.offset), list(islice(log.kept, start, start + limit)))

    async def enrol(self, room: str, people: People) -> None:
        here = self._people.setdefault(room, {})
        here.update({user.id: (people.worker, user) for user in people.joined})
        await self.strike(room, people.worker, people.left)
        self.deliver(room, Signal(PEOPLE, "-", protocol.encode(people)))

    async def strike(self, room: str, worker: str, ids: Iterable[str]) -> None:
        here = self._people.get(room, {})
        for id in ids:
            here.pop(id, None)
        if not here:
            self._people.pop(room, None)

    async def roster(self, room: str) -> list[tuple[str, User]]:
        return list(self._people.get(room, {}).values())

    async def beat(self, worker: str) -> Beat:
        return Beat({worker}, was_gone=False)

    async def claim(self, worker: str, quotas: Sequence[Quota]) -> Quota | None:
        for quota in quotas:
            if self._seats[quota.name] >= quota.limit:
                return quota
        self._seats.update(quota.name for quota in quotas)
        return None

    async def vacate(self, worker: str, seats: Mapping[str, int]) -> None:
        await self.restate(worker, {name: self._seats[name] - count for name, count in seats.items()})

    async def restate(self, worker: str, seats: Mapping[str, int]) -> None:
        for name, count in seats.items():
            self._seats[name] = count
            if count <= 0:
                del self._seats[name]

    def _log(self, room: str) -> _Log:
        log = self._logs.get(room)
        size, seconds = self._settings.kept(room)
        now = self._clock()
        if log is None:
            self._sweep_now_and_then(now)
            log = self._logs[room] = _Log(size, now)
        elif seconds and log.touched + seconds <= now:
            log.kept.clear()
        log.used = now
        return log

    def _sweep_now_and_then(self, now: float) -> None:
        """Forget what has expired, at a small cost each time."""
        self._until_sweep -= 1
        if self._until_sweep > 0:
            return
        self._until_sweep = SWEEP_EVERY
        for room, log in list(self._logs.items()):
            if log.offset or room in self._takers:
                self._log(room)
            elif log.used + UNUSED_FOR <= now:
                del self._logs[room]
            # Keys are remembered for one and the same time, so the oldest expires first.
            while log.receipts and next(iter(log.receipts.values()))[0] <= now:
                del log.receipts[next(iter(log.receipts))]


class _Log:
    """One room's newest messages and where they stand."""

    def __init__(self, size: int, now: float) -> None:
        self.epoch = new_epoch()
        self.offset = 0
        self.kept: deque[Publication] = deque(maxlen=size)
        self.touched = now  # when the newest was said
        self.used = now  # when it was last asked for, or last seen to be heard
        self.receipts: dict[str, tuple[float, Receipt]] = {}  # by idempotency key: until when, and what

    def append(self, publication: Publication) -> Publication:
        self.offset = publication.offset
        self.kept.append(publication)
        return publication
