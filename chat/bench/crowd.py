"""Everybody in every room: lets them in, brings back who lost its connection, and lets them go."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from chat.bench import wire
from chat.bench.ledger import Verdict
from chat.bench.member import Handshake, Member
from chat.bench.room import Room
from chat.exceptions import LoadRefused

OPENING = 50  # connections that are opened at the same time
PATIENCE = 20.0  # seconds for a connection to be let in
AWAY = 30.0  # seconds for who lost its connection to be back
RETRY = (0.1, 1.0)  # seconds between tries to come back, at random


class Address:
    """Where a server is: `ws://host:port/path`, or `wss://`; http and https mean the same."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
            raise LoadRefused(f"expected an address such as ws://127.0.0.1:8000, got {url}")
        try:
            port = parts.port
        except ValueError:
            raise LoadRefused(f"the port in {url} is none") from None
        secure = parts.scheme in ("wss", "https")
        self.name = parts.hostname
        self.port = port or (443 if secure else 80)
        self.host = parts.netloc.rpartition("@")[2]
        self.path = parts.path.rstrip("/")
        self.tls = ssl.create_default_context() if secure else None

    def __str__(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.host}{self.path}"


class Crowd:
    """The members of all rooms. `trouble` is the first thing that went wrong and ends a load."""

    def __init__(self, address: Address, rooms: Sequence[Room], *, tokens: Sequence[str]) -> None:
        self.rooms = rooms
        self.members: list[Member] = []
        self.trouble: Exception | None = None
        self.over = asyncio.Event()  # something went wrong, or somebody wants it to end
        self.connect_seconds = 0.0
        self.parted: Counter[str] = Counter()  # lost connections, by what was said
        self.returned = 0
        self._address = address
        self._where: tuple[str, int] = (address.name, address.port)
        self._tokens = tokens
        self._closing = False
        self._returning: set[asyncio.Task[None]] = set()
        for room in rooms:
            room.parted, room.failed = self._parted, self.fail

    async def enter(self, members: int) -> None:
        """Let so many members into each room, a few at a time, the rooms in turn; raises `LoadRefused`."""
        await self._resolve()
        queue = [room for _ in range(members) for room in self.rooms]
        queue.reverse()
        start = time.perf_counter()

        async def open_next() -> None:
            while queue and not self.over.is_set():
                room = queue.pop()
                member = Member(room, len(self.members))
                self.members.append(member)
                await self._open(member)
                room.members.append(member)

        tasks = [asyncio.create_task(open_next()) for _ in range(OPENING)]
        try:
            await asyncio.gather(*tasks)
        except OSError as error:
            raise LoadRefused(_unreachable(self._address, error, len(self.members))) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.connect_seconds = time.perf_counter() - start

    @property
    def connected(self) -> int:
        return sum([member.connected for member in self.members])

    def by_worker(self) -> dict[str, int]:
        """Return how many members are on each worker, if the server tells."""
        return dict(sorted(Counter(member.worker for member in self.members if member.worker).items()))

    def fail(self, error: Exception) -> None:
        """End the load because of this."""
        if not self._closing:
            self.trouble = self.trouble or error
            self.over.set()

    def judge(self) -> Verdict:
        """Return what was lost, doubled or reordered, over all members of all rooms."""
        return sum((room.judge() for room in self.rooms if room.members), Verdict())

    async def leave(self) -> None:
        """Let everybody go."""
        self._closing = True
        for task in self._returning:
            task.cancel()
        await asyncio.gather(*self._returning, return_exceptions=True)
        for member in self.members:
            if member.connected:
                member.transport.abort()
        await asyncio.sleep(0)

    async def _resolve(self) -> None:
        """Look the name up once, not for each member."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._address.name, self._address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise LoadRefused(f"{self._address.name} is not known: {error}") from error
        # The first that answers, as any client does.
        for _, _, _, _, where in found:
            self._where = str(where[0]), self._address.port
            try:
                transport, _ = await loop.create_connection(asyncio.Protocol, *self._where)
            except OSError:
                continue
            transport.abort()
            return

    async def _open(self, member: Member, since: str = "") -> None:
        room, address = member.room, self._address
        dialect = room.dialect
        token = self._tokens[member.number % len(self._tokens)].replace("{n}", str(member.number))
        target = address.path + dialect.target(room.name, token, member.number) + since
        request = wire.request(target, host=address.host, subprotocol=dialect.subprotocol)
        hello = b"".join([wire.client_frame(payload) for payload in dialect.hello(room.name)])
        loop = asyncio.get_running_loop()
        member.greeted = loop.create_future()
        async with asyncio.timeout(PATIENCE):
            _, handshake = await loop.create_connection(
                lambda: Handshake(member, request, hello),
                *self._where,
                ssl=address.tls,
                server_hostname=address.name if address.tls else None,
            )
            await handshake.done
            await member.greeted

    def _parted(self, member: Member, error: Exception) -> None:
        if self._closing:
            return
        self.parted[str(error)] += 1
        if isinstance(error, LoadRefused) or member.room.dialect.message is None:
            self.fail(error)
            return
        task = asyncio.create_task(self._return(member, error))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _return(self, member: Member, error: Exception) -> None:
        """Bring a member back to where it was; it may take a while until there is a server again."""
        now = time.perf_counter()
        deadline, delay = now + AWAY, max(member.back_at - now, 0)
        while time.perf_counter() < deadline:
            await asyncio.sleep(delay)
            try:
                await self._open(member, since=f"&since={member.epoch}:{member.offset}")
            except (OSError, LoadRefused):
                delay = random.uniform(*RETRY)
            else:
                self.returned += 1
                member.say_again()
                return
        self.fail(ConnectionError(f"{error}, and could not come back for {AWAY:g} s"))


def _unreachable(address: Address, error: OSError, number: int) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{address}: {error}; SSL_CERT_FILE names further certificates to trust"
    advice = ""
    if number <= OPENING and isinstance(error, ConnectionRefusedError):
        advice = "; is the server running?"
    elif error.errno == 24:
        advice = "; raise this terminal's `ulimit -n`, it must be above the number of members"
    elif isinstance(error, TimeoutError):
        return f"{address}: no answer within {PATIENCE:g} s"
    return f"{address}: {str(error) or type(error).__name__} (at member {number}){advice}"
