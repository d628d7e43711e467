"""Redis as broker: pub/sub for fan-out, a stream per room as its log, one script per publish."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache, partial
from importlib.resources import files
from itertools import chain
from typing import Any, NamedTuple

from broadcaster._backends.base import BroadcastBackend
from broadcaster._base import Event

from chat import metrics, protocol
from chat.backoff import delays
from chat.broker.address import Address
from chat.broker.base import BEATS_LATE, BEATS_MISSED, Beat, Broker, Quota, Then, new_epoch
from chat.broker.resp import Answer, RedisConnection, RedisError, pack
from chat.events import Link, Page, Position, Publication, Receipt, Signal, parse, serialise
from chat.exceptions import BrokerError, BrokerUnavailable, ForeignPayload
from chat.protocol import User
from chat.roster import PEOPLE, People
from chat.settings import Settings
from chat.turn import Turn

logger = logging.getLogger("chat.broker")

HEAD_TTL = 30 * 86400  # seconds that an unused room's epoch and offset outlive its messages
FOR_EVER = 100 * 366 * 86400  # seconds
QUOTA_TTL = 3600  # seconds that what is noted of a quota outlives its last use
RUSH = 0.002  # seconds between claims that go together; a round trip costs more CPU than ten claims
PULSE = 1.0  # seconds between two publishes to oneself
RETRY_FIRST, RETRY_MOST = 0.05, 0.8  # seconds; small, because members must have everything within 2 s of its return
ROOMS_AT_HAND = 4096  # whose names in Redis need not be put together for each message
SUBSCRIBE_AT_ONCE = 1000  # channels in one command when the subscriptions are made again


_FOUR_ARGUMENTS = b"$%d\r\n%b\r\n" * 4  # as `pack` makes them one by one, in half the time


class Script:
    """A Lua script, called by its hash and sent whole only where Redis does not know it."""

    def __init__(self, name: str) -> None:
        self.source = files("chat.broker").joinpath(name).read_bytes()
        self._whole = pack("EVAL") + pack(self.source)
        self._by_hash = pack("EVALSHA") + pack(hashlib.sha1(self.source, usedforsecurity=False).hexdigest())

    def start(self, count: int) -> bytes:
        """Return how a command begins that runs it with `count` arguments: the number of keys, keys, and the rest."""
        return b"*%d\r\n%b" % (count + 2, self._by_hash)

    def ask(self, connection: RedisConnection, answer: Answer, start: bytes, *rest: bytes) -> None:
        """Run it, as by `RedisConnection.ask`."""

        def whole_if_unknown(reply: Any) -> None:
            if not isinstance(reply, RedisError) or not str(reply).startswith("NOSCRIPT"):
                answer(reply)
                return
            try:
                connection.ask(answer, start.replace(self._by_hash, self._whole, 1), *rest)
            except BrokerUnavailable as error:
                answer(error)

        connection.ask(whole_if_unknown, start, *rest)

    async def call(self, connection: RedisConnection, keys: tuple[str, ...], *args: str | bytes | int) -> Any:
        """Run it, as by `RedisConnection.call`."""
        replied: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def settle(reply: Any) -> None:
            if not replied.done():
                replied.set_result(reply)

        arguments = [len(keys), *keys, *args]
        packed = [pack(str(argument) if isinstance(argument, int) else argument) for argument in arguments]
        self.ask(connection, settle, self.start(len(packed)), *packed)
        if isinstance(reply := await replied, Exception):
            raise reply
        return reply


PUBLISH = Script("publish.lua")
POSITION = Script("position.lua")
BEAT = Script("beat.lua")
CLAIM = Script("claim.lua")
VACATE = Script("vacate.lua")


class Log(NamedTuple):
    """What is the same in every publish to a room, packed."""

    channel: str
    start: bytes  # of the command, up to the keys of log and head
    start_with_id: bytes  # the same, if an idempotency key follows; empty if these are not remembered
    settings: bytes  # the channel, what is kept for how long, and for how long an idempotency key is


class RedisBackend(BroadcastBackend):
    """A `BroadcastBackend` for `broadcaster.Broadcast` that comes back by itself.

    It holds one connection, the link, for commands and for what is pushed (RESP3 has both on one); when that is lost
    it is made again, with backoff and jitter, and every subscription with it. A subscription that is dead although
    its connection looks alive is found by publishing to oneself.

    `decode` makes an event's message from the payload; what it refuses is skipped and counted. `deliver` is given
    each channel's messages at once, and a `Link` when the link is lost and when it is back; without it they wait for
    `next_published`, and nobody is told of the link. `turn` ends with each read.
    """

    def __init__(
        self,
        url: str,
        *,
        decode: Callable[[bytes], Any] = bytes.decode,
        deliver: Callable[[str, Any], None] | None = None,
        turn: Turn | None = None,
        patience: float = 2.0,
        prefix: str = "chat",
    ) -> None:
        self.address = Address(url)
        self._connection: RedisConnection | None = None  # from when it is open
        self._up = False  # from when the subscriptions are made again
        self._decode = decode
        self._deliver = deliver
        self._take = deliver or self._keep
        self._turn = turn
        self._patience = patience
        self._pulse_channel = f"{prefix}:pulse:{new_epoch()}".encode()
        self._pulse_heard = 0.0  # by the loop's clock
        self._channels: dict[bytes, str] = {}  # what is to be heard, as on the wire and as it was asked for
        self._confirmations: dict[bytes, asyncio.Future[None]] = {}  # subscriptions under way
        self._arrived: deque[Event] = deque()  # emptied in every turn of the loop by broadcaster's listener
        self._arrival = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether the link is up, and what this worker published to itself came back lately."""
        return self._up

    # --- broadcaster's interface ---

    async def connect(self) -> None:
        """Start; returns as soon as the link is up, or could not be made at the first try."""
        tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(tried), name="chat redis link")
        await tried

    async def disconnect(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None

    async def subscribe(self, channel: str) -> None:
        """Hear a channel from when this returns; if the link is down, from when it is back.

        Never raises, because broadcaster 0.3.1 would hide the error behind a KeyError.
        """
        name = channel.encode()
        self._channels[name] = channel
        if self._connection is None:
            return
        confirmed = self._confirmations[name] = asyncio.get_running_loop().create_future()
        with suppress(BrokerUnavailable):
            self._connection.post("SUBSCRIBE", name)
            await asyncio.wait({confirmed, self._connection.lost}, return_when=asyncio.FIRST_COMPLETED)

    async def unsubscribe(self, channel: str) -> None:
        name = channel.encode()
        self._channels.pop(name, None)
        if self._connection is not None:
            with suppress(BrokerUnavailable):
                self._connection.post("UNSUBSCRIBE", name)

    async def publish(self, channel: str, message: Any) -> None:
        """Tell a channel's subscribers; a str or bytes. Raises `BrokerUnavailable`."""
        await self.link().call("PUBLISH", channel, message)

    async def next_published(self) -> Event:
        while not self._arrived:
            self._arrival.clear()
            await self._arrival.wait()
        return self._arrived.popleft()

    # --- the link ---

    def link(self) -> RedisConnection:
        """Return the connection; raises `BrokerUnavailable` while there is none that can be used."""
        if not self._up or self._connection is None:
            raise BrokerUnavailable("the broker is away at the moment")
        return self._connection

    def drop(self, reason: str) -> None:
        """Give the link up and make a new one."""
        if self._connection is not None:
            self._connection.close(reason)

    async def _supervise(self, tried: asyncio.Future[None]) -> None:
        """Keep the link up until cancelled; `tried` is done after the first try."""
        waits = delays(first=RETRY_FIRST, most=RETRY_MOST)
        complaint = ""  # said once, not again for every try
        while True:
            try:
                async with self._opened() as connection:
                    waits = delays(first=RETRY_FIRST, most=RETRY_MOST)
                    complaint = ""
                    _settle(tried)
                    await self._beat(connection)
            except BrokerError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    logger.warning("Redis at %s: %s; trying again", self.address, complaint)
            _settle(tried)
            metrics.broker_retries.inc()
            await asyncio.sleep(next(waits))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[RedisConnection]:
        """Open the link, make the subscriptions again, and be available while the block lasts."""
        opened = RedisConnection.open(self.address, patience=self._patience, on_push=self._pushed, turn=self._turn)
        async with opened as connection:
            await _load_scripts(connection)
            self._connection = connection  # a channel that is asked for from here on is subscribed by `subscribe`
            try:
                await self._resubscribe(connection)
                self._up = True
                logger.info("Redis at %s: connected", self.address)
                self._tell(Link.UP)
                yield connection
            finally:
                self._connection = None
                if self._up:
                    self._up = False
                    self._tell(Link.DOWN)

    async def _resubscribe(self, connection: RedisConnection) -> None:
        # The pulse comes last: subscriptions are confirmed in order, so with it all are.
        names = [*self._channels, self._pulse_channel]
        confirmed = self._confirmations[self._pulse_channel] = asyncio.get_running_loop().create_future()
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            connection.post("SUBSCRIBE", *names[start : start + SUBSCRIBE_AT_ONCE])
        await asyncio.wait({confirmed, connection.lost}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        if not confirmed.done():
            raise BrokerUnavailable("the subscriptions could not be made again")

    async def _beat(self, connection: RedisConnection) -> None:
        """Publish to oneself until it does not come back or the link is lost; raises `BrokerUnavailable`."""
        clock = asyncio.get_running_loop().time
        self._pulse_heard = clock()
        while True:
            await connection.call("PUBLISH", self._pulse_channel, b"")
            await asyncio.wait({connection.lost}, timeout=PULSE)
            if connection.lost.done():
                raise BrokerUnavailable(connection.reason)
            if clock() - self._pulse_heard > PULSE + self._patience:
                raise BrokerUnavailable("the subscription is deaf: what this worker publishes does not come back")

    def _tell(self, link: Link) -> None:
        if self._deliver is not None:
            for channel in list(self._channels.values()):
                self._deliver(channel, link)

    def _pushed(self, push: list[Any]) -> None:
        """Take in what Redis pushes: messages, and confirmations of subscriptions."""
        kind, name = push[0], push[1]
        if kind == b"message":
            if name == self._pulse_channel:
                self._pulse_heard = asyncio.get_running_loop().time()
            elif (channel := self._channels.get(name)) is not None:
                try:
                    message = self._decode(push[2])
                except (ForeignPayload, UnicodeDecodeError) as error:
                    metrics.foreign_payloads.inc()
                    logger.warning("skipped a payload on %s: %s", channel, error)
                    return
                self._take(channel, message)
        elif kind == b"subscribe" and (confirmed := self._confirmations.pop(name, None)) is not None:
            _settle(confirmed)

    def _keep(self, channel: str, message: Any) -> None:
        self._arrived.append(Event(channel, message))
        self._arrival.set()


class RedisBroker(Broker):
    """A room's log is a stream whose ids are the offsets; its head, a hash, holds epoch and newest offset."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.broker_prefix
        # Quotas are on the same node of a cluster as the workers who have seats in them. No room is called so.
        self._workers = f"{self._prefix}:{{!workers}}"
        self._beat_by: RedisConnection | None = None  # by which the last sign of life went
        self._claimed = 0.0  # when the last claim was made, by the loop's clock
        self._company: asyncio.Event | None = None  # there while claims wait to go together
        super().__init__()
        self._log = lru_cache(maxsize=ROOMS_AT_HAND)(self._look_up)
        self._redis = self.backend()

    @property
    def available(self) -> bool:
        return self._redis.available

    def backend(self) -> RedisBackend:
        self._company = None  # an earlier event loop's
        self._redis = RedisBackend(
            self._settings.broker_url,
            decode=parse,
            deliver=self.deliver,
            turn=self.turn,
            patience=self._settings.broker_timeout,
            prefix=self._prefix,
        )
        return self._redis

    def channel(self, room: str) -> str:
        # The braces keep a room's keys and channel on one node of a cluster.
        return f"{self._prefix}:{{{room}}}"

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
        channel, start, start_with_id, settings = self._log(room)
        id = b""
        if key is not None and start_with_id:
            start, id = start_with_id, pack(f"{channel}:id:{key}")
        epoch, offset = seen or ("", 0)
        by, whose, where = origin.encode(), epoch.encode(), b"%d" % offset
        rest = _FOUR_ARGUMENTS % (len(body), body, len(by), by, len(whose), whose, len(where), where)
        answer = partial(self._answer, then, epoch)
        try:
            PUBLISH.ask(self._redis.link(), answer, start, id, settings, rest)
        except BrokerUnavailable as error:
            then(error)

    def _answer(self, then: Then, epoch: str, reply: Any) -> None:
        if isinstance(reply, int):
            metrics.published.inc()
            then(Receipt(epoch, reply, False))
        elif isinstance(reply, list):
            metrics.published.inc()
            then(Receipt(reply[0].decode(), reply[1], reply[2] == 1))
        else:
            then(self._refused(reply) if isinstance(reply, RedisError) else reply)

    async def signal(self, room: str, signal: Signal) -> None:
        await self._call(self._redis.link().call("PUBLISH", self.channel(room), serialise(signal)))

    async def position(self, room: str, *, seen: Position | None = None) -> Position:
        channel = self.channel(room)
        keys = (f"{channel}:log", f"{channel}:head")
        epoch, offset = await self._call(
            POSITION.call(self._redis.link(), keys, new_epoch(), self._kept(room)[2], *(seen or ()))
        )
        return Position(epoch.decode(), offset)

    async def history(
        self, room: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Page:
        # A message published between the two reads has an offset past the position, no more.
        position = await self.position(room)
        log = f"{self.channel(room)}:log"
        if after is not None:
            entries = await self._call(self._redis.link().call("XRANGE", log, after + 1, "+", "COUNT", limit))
        else:
            newest = "+" if before is None else max(before - 1, 0)
            entries = await self._call(self._redis.link().call("XREVRANGE", log, newest, "-", "COUNT", limit))
            entries.reverse()
        return Page(position, list(_publications(entries)))

    async def enrol(self, room: str, people: People) -> None:
        channel = self.channel(room)
        key = f"{channel}:people"
        link = self._redis.link()
        replies = []
        if people.joined:
            fields = [(f"{people.worker} {user.id}", user.name) for user in people.joined]
            replies += [link.call("HSET", key, *chain.from_iterable(fields)), link.call("EXPIRE", key, HEAD_TTL)]
        if people.left:
            replies.append(link.call("HDEL", key, *[f"{people.worker} {id}" for id in people.left]))
        replies.append(link.call("PUBLISH", channel, serialise(Signal(PEOPLE, "-", protocol.encode(people)))))
        await self._call(asyncio.gather(*replies))

    async def strike(self, room: str, worker: str, ids: Iterable[str]) -> None:
        key = f"{self.channel(room)}:people"
        await self._call(self._redis.link().call("HDEL", key, *[f"{worker} {id}" for id in ids]))

    async def roster(self, room: str) -> list[tuple[str, User]]:
        link = self._redis.link()
        # The workers second: each shows that it lives before it enters anybody.
        reply = asyncio.gather(
            link.call("HGETALL", f"{self.channel(room)}:people"), link.call("ZRANGE", self._workers, 0, -1)
        )
        fields, workers = await self._call(reply)
        live = {worker.decode() for worker in workers}
        entries = []
        for field, name in fields.items():
            worker, _, id = field.decode().partition(" ")
            if worker in live:
                entries.append((worker, User(id, name.decode())))
        return entries

    async def beat(self, worker: str) -> Beat:
        link = self._redis.link()
        known, workers = await self._call(BEAT.call(link, (self._workers,), worker, f"{BEATS_MISSED:.0f}"))
        reconnected, self._beat_by = link is not self._beat_by, link
        return Beat({live.decode() for live in workers}, was_gone=not known, reconnected=reconnected)

    async def claim(self, worker: str, quotas: Sequence[Quota]) -> Quota | None:
        await self._in_company()
        keys = (self._workers, *[self._quota(quota.name) for quota in quotas])
        counts = chain.from_iterable((quota.limit, quota.held) for quota in quotas)
        late = f"{BEATS_LATE:.0f}"
        full = await self._call(CLAIM.call(self._redis.link(), keys, worker, late, QUOTA_TTL, *counts))
        return quotas[full - 1] if full else None

    async def _in_company(self) -> None:
        """Wait for a moment if somebody else claimed just now, so that in a rush many claims cost one round trip."""
        loop = asyncio.get_running_loop()
        now, before = loop.time(), self._claimed
        self._claimed = now
        if now - before > RUSH:
            return
        if self._company is None:
            self._company = asyncio.Event()
            loop.call_later(RUSH, self._go)
        await self._company.wait()

    def _go(self) -> None:
        if self._company is not None:
            self._company.set()
            self._company = None

    async def vacate(self, worker: str, seats: Mapping[str, int]) -> None:
        keys = tuple(self._quota(name) for name in seats)
        await self._call(VACATE.call(self._redis.link(), keys, worker, *seats.values()))

    async def restate(self, worker: str, seats: Mapping[str, int]) -> None:
        link = self._redis.link()
        replies = []
        for name, number in seats.items():
            key = self._quota(name)
            if number:
                replies += [link.call("HSET", key, worker, number), link.call("EXPIRE", key, QUOTA_TTL)]
            else:
                replies.append(link.call("HDEL", key, worker))
        await self._call(asyncio.gather(*replies))

    def _look_up(self, room: str) -> Log:
        channel = self.channel(room)
        keys = [pack(f"{channel}:log"), pack(f"{channel}:head")]
        remembered = self._settings.idempotency_ttl
        settings = [channel, *map(str, (*self._kept(room), remembered))]
        count = len(keys) + len(settings) + 4
        start = PUBLISH.start(1 + count) + pack("2") + b"".join(keys)
        start_with_id = PUBLISH.start(2 + count) + pack("3") + b"".join(keys) if remembered else b""
        return Log(channel, start, start_with_id, b"".join([pack(setting) for setting in settings]))

    def _kept(self, log: str) -> tuple[int, int, int]:
        """Return how many messages are kept, for how many seconds, and the head for how many: always longer."""
        size, seconds = self._settings.kept(log)
        return size, seconds, HEAD_TTL + seconds if seconds else FOR_EVER

    def _quota(self, name: str) -> str:
        return f"{self._workers}:{name}"

    async def _call(self, reply: Awaitable[Any]) -> Any:
        try:
            return await reply
        except RedisError as error:
            raise self._refused(error) from error

    def _refused(self, error: RedisError) -> BrokerUnavailable:
        # Out of memory, still loading, a replica now: all of them pass.
        if str(error).startswith("READONLY"):
            self._redis.drop("it became a replica")  # to be asked again where the master is
        return BrokerUnavailable(f"the broker refused: {error}")


async def _load_scripts(connection: RedisConnection) -> None:
    """Make all scripts known, for a Redis that has just begun, or has just become the master, knows none.

    Otherwise commands that are under way would be sent again behind others that were posted after them.
    """
    replies = [connection.call("SCRIPT", "LOAD", script.source) for script in (PUBLISH, POSITION, BEAT, CLAIM, VACATE)]
    for reply in await asyncio.gather(*replies, return_exceptions=True):
        if isinstance(reply, BaseException) and not isinstance(reply, RedisError):
            raise reply  # who may not do this can still send them whole


def _publications(entries: list[Any]) -> Iterator[Publication]:
    for _, fields in entries:
        try:
            publication = parse(fields[1])
        except ForeignPayload:
            metrics.foreign_payloads.inc()
        else:
            if isinstance(publication, Publication):
                yield publication


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
