"""Holds everybody to the number of sockets that one person, and one address, may have open over all workers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import lru_cache
from itertools import islice
from typing import Any

from chat import metrics
from chat.addresses import is_private, network
from chat.broker import Broker
from chat.broker.base import Beat, Quota
from chat.exceptions import BrokerUnavailable, TooManyConnections
from chat.settings import Settings

logger = logging.getLogger("chat.admission")

RESTATED_EVERY = 1200.0  # seconds; what the broker noted is forgotten after an hour
AT_ONCE = 1000  # quotas that are restated together
FIRST_BEAT = 5.0  # seconds to wait for the first sign of life of this worker

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Admission:
    """Gives out seats: a socket has one in its person's quota, and one in its address's.

    The broker counts, because only it can do so exactly for all workers; each worker knows how many seats it has
    itself. What the broker may have wrong after an outage, or because an answer was lost, is restated from here.
    """

    def __init__(self, worker: str, broker: Broker, settings: Settings, *, spawn: Spawn) -> None:
        self._worker = worker
        self._broker = broker
        self._limits = {
            "user": settings.max_connections_per_user,
            "address": settings.max_connections_per_address,
        }
        self._spawn = spawn
        self._seats: dict[str, tuple[str, ...]] = {}  # the quotas in which a socket has one, by its id
        self._held: Counter[str] = Counter()  # seats that this worker has, by quota
        self._asking: Counter[str] = Counter()  # claims without an answer yet, by quota
        self._left: Counter[str] = Counter()  # given back, and not told yet
        self._doubtful: set[str] = set()  # quotas of which the broker may have a wrong number
        self._telling = False
        self._alive = asyncio.Event()  # the broker knows that this worker lives
        self._restated_at = 0.0  # when all was doubted the last time, by the loop's clock
        self._suspected = False  # it was said that an address may be a proxy's

    async def enter(self, socket: str, *, user: str | None, address: str | None) -> None:
        """Take the seats of one socket, by its id; None: nobody's, or from nowhere, is not counted.

        Raises `TooManyConnections`, and `BrokerUnavailable`.
        """
        if names := self._names(user, address):
            await self._claim(names)
            self._seats[socket] = names

    def leave(self, socket: str) -> None:
        """Give back what a socket has."""
        if (names := self._seats.pop(socket, None)) is not None:
            _subtract(self._held, names)
            self._left.update(names)
            self._tell_soon()

    def _names(self, user: str | None, address: str | None) -> tuple[str, ...]:
        names = []
        if user is not None and self._limits["user"]:
            names.append(f"user:{user}")
        if address is not None and self._limits["address"]:
            names.append(_address_quota(address))
        return tuple(names)

    async def _claim(self, names: tuple[str, ...]) -> None:
        if not self._alive.is_set():
            await self._first_beat()
        quotas = [Quota(name, self._limits[name.partition(":")[0]], self._held[name]) for name in names]
        self._asking.update(names)
        try:
            full = await self._broker.claim(self._worker, quotas)
        except BaseException:  # also if cancelled: then the broker may have noted it or not
            self._doubtful.update(names)
            raise
        finally:
            _subtract(self._asking, names)
            if not self._doubtful.isdisjoint(names):
                self._tell_soon()
        if full is not None:
            raise self._too_many(full)
        self._held.update(names)

    async def _first_beat(self) -> None:
        """Wait until this worker is known to live: the seats of others are taken for those of the dead."""
        if not self._broker.available:
            raise BrokerUnavailable("the broker is away at the moment")
        try:
            await asyncio.wait_for(self._alive.wait(), FIRST_BEAT)
        except TimeoutError:
            raise BrokerUnavailable("the broker does not answer") from None

    def heed(self, beat: Beat) -> None:
        """Hear of a sign of life that this worker gave."""
        self._alive.set()
        now = asyncio.get_running_loop().time()
        if beat.was_gone or beat.reconnected or now - self._restated_at > RESTATED_EVERY:
            self._doubtful.update(self._held)
            self._restated_at = now
        if self._doubtful:
            self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._spawn(self._tell())

    async def _tell(self) -> None:
        """Tell the broker of what was given back, and what it may have wrong; what fails is done at the next beat."""
        try:
            while doubtful := list(islice((name for name in self._doubtful if not self._asking[name]), AT_ONCE)):
                await self._restate(doubtful)
            while self._left:
                left, self._left = self._left, Counter()
                try:
                    await self._broker.vacate(self._worker, left)
                except BrokerUnavailable:
                    self._doubtful.update(left)
        except BrokerUnavailable:
            pass
        finally:
            self._telling = False

    async def _restate(self, names: list[str]) -> None:
        """Say how many seats this worker has.

        Not while a claim is under way: whether its seat is among them is not known.
        """
        for name in names:
            del self._left[name]
        self._doubtful.difference_update(names)
        try:
            await self._broker.restate(self._worker, {name: self._held[name] for name in names})
        except BrokerUnavailable:
            self._doubtful.update(names)
            raise

    def _too_many(self, full: Quota) -> TooManyConnections:
        kind, _, name = full.name.partition(":")
        metrics.over_limit.labels(limit=f"connections_per_{kind}").inc()
        if kind == "user":
            return TooManyConnections(f"you have {full.limit} connections open already; close one, or try again later")
        self._suspect_proxy(name, full.limit)
        return TooManyConnections(f"{full.limit} connections from your address are open already; try again later")

    def _suspect_proxy(self, address: str, limit: int) -> None:
        """Say once that a full address may be that of everybody, because a proxy is not known as one."""
        if not self._suspected and is_private(address):
            self._suspected = True
            logger.warning(
                "%d connections come from %s, and no more are let in; if that is a proxy, name it in "
                "CHAT_TRUSTED_PROXIES, else see CHAT_MAX_CONNECTIONS_PER_ADDRESS",
                limit,
                address,
            )


@lru_cache(maxsize=4096)  # one name for all sockets of an address
def _address_quota(address: str) -> str:
    return f"address:{network(address)}"


def _subtract(counts: Counter[str], names: tuple[str, ...]) -> None:
    for name in names:
        counts[name] -= 1
        if counts[name] <= 0:
            del counts[name]
