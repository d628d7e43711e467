"""Three workers, their Redis, and the lines between them, all of which can be broken."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

import httpx

from tests.faults.client import Target
from tests.faults.conftest import chat_server
from tests.faults.proxies import SubscriberProxy
from tests.servers import ChatServer, RedisServer, TcpProxy, until

WORKERS = 3


class Line:
    """A proxy and what is wrong with it at the moment."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.refusing = False

    async def refuse(self) -> None:
        if not self.refusing:
            self.refusing = True
            await self.proxy.refuse()
            self.proxy.reset()

    async def mend(self) -> None:
        self.proxy.thaw()
        if isinstance(self.proxy, SubscriberProxy):
            self.proxy.thaw_subscribers()
        if self.refusing:
            await self.proxy.accept()
            self.refusing = False


class Service:
    """Starts all of it; `mend` makes everything whole again, whatever was done to it."""

    def __init__(self, data: Path) -> None:
        self.redis = RedisServer("--appendfsync", "always", data=data)
        self.workers: list[ChatServer] = []
        self.to_redis: list[Line] = []  # from each worker
        self.to_workers: list[Line] = []  # from the clients that do not connect directly
        self._data = data
        self._stack = AsyncExitStack()

    @property
    def targets(self) -> list[Target]:
        """Where clients can connect to: each worker, and each line to one."""
        return [*self.workers, *(line.proxy for line in self.to_workers)]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.mend()
        await self._stack.aclose()

    async def _start(self) -> None:
        await self._stack.enter_async_context(self.redis)
        for _ in range(WORKERS):
            line = Line(await self._stack.enter_async_context(SubscriberProxy(self.redis.port)))
            self.to_redis.append(line)
            self.workers.append(
                chat_server(
                    f"redis://127.0.0.1:{line.proxy.port}/0",
                    wait=False,  # it may have to start while it cannot reach Redis
                    CHAT_HISTORY_SIZE="5000",
                    CHAT_SEND_BUFFER_BYTES="8192",
                    CHAT_STALL_TIMEOUT="3",
                    CHAT_BROKER_TIMEOUT="0.5",
                    CHAT_PRESENCE_GRACE="0.5",
                    CHAT_DRAIN_TIMEOUT="2",
                )
            )
        for worker in self.workers:
            await self._stack.enter_async_context(worker)
            self.to_workers.append(Line(await self._stack.enter_async_context(TcpProxy(worker.port))))
        await self.mend()

    async def empty(self) -> None:
        """Kill Redis and start it again with nothing in it."""
        await self.redis.kill()
        for entry in self._data.iterdir():
            shutil.rmtree(entry)
        await self.redis.start()

    async def mend(self) -> None:
        """Undo every fault; returns once every worker is ready."""
        if self.redis.running:
            self.redis.resume()
        else:
            await self.redis.start()
        for line in [*self.to_redis, *self.to_workers]:
            await line.mend()
        await asyncio.gather(*[worker.start() for worker in self.workers if not worker.running])
        for worker in self.workers:
            await until(lambda: _answers(worker, "/readyz"), "the worker is ready", told=worker)  # noqa: B023

    async def alive(self, worker: ChatServer) -> None:
        """Wait until a worker serves, whether or not it reaches Redis."""
        await until(lambda: _answers(worker, "/healthz"), "the worker serves", told=worker)


async def _answers(worker: ChatServer, path: str) -> bool:
    async with worker.http() as client:
        with suppress(httpx.TransportError):
            return (await client.get(path)).status_code == 200
    return False
