"""Random schedules of faults: made from a seed, so that one that fails can be run again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from tests.checker import History
from tests.faults.client import Client
from tests.faults.proxies import SubscriberProxy
from tests.faults.service import WORKERS, Service
from tests.servers import until

CLIENTS = 6
STEPS = 14
LONG = "long " * 400  # a few of those fill what a slow client's socket takes


class Step(NamedTuple):
    """One thing that happens: its name, to whom (a number, of a client or a worker), and how long or how much."""

    what: str
    whom: int
    much: float

    def __str__(self) -> str:
        return f"{self.what}({self.whom}, {self.much:.2f})"


class Run:
    """Plays a schedule on a service, with clients that behave well whatever happens."""

    def __init__(self, service: Service, room: str, seed: int) -> None:
        self.history = History(retained=5000)
        self.seed = seed
        self.steps = schedule(seed)
        self._service = service
        self._room = room
        self._clients: list[Client] = []
        self._said = 0

    async def play(self) -> None:
        """Do all steps, then let everything become whole and everybody catch up."""
        async with AsyncExitStack() as stack:
            for number in range(CLIENTS):
                # Each prefers another worker, some over a line that can break. Two soon pause it when they do not read.
                targets = self._service.targets
                mine = targets[number % len(targets) :] + targets[: number % len(targets)]
                buffer = 8192 if number >= CLIENTS - 2 else 0
                client = Client(
                    f"c{number}",
                    self._room,
                    mine,
                    self.history,
                    rand=random.Random(self.seed + number),
                    receive_buffer=buffer,
                )
                self._clients.append(await stack.enter_async_context(client))
            for client in self._clients:
                await client.welcomed()
            for step in self.steps:
                await STEPS_BY_NAME[step.what](self, step)
            await self._calm_down()

    async def _calm_down(self) -> None:
        await self._service.mend()
        for client in self._clients:
            client.read_on()
            client.come_back()
        for client in self._clients:
            client.publish("all is well")
        for client in self._clients:
            await client.acknowledged()
        end = max(client.last_ack for client in self._clients)
        for client in self._clients:
            await client.reached(end)
            self.history.stayed.add(client.name)
        everybody = {client.name for client in self._clients}
        for client in self._clients:
            await until(lambda: client.people() == everybody, f"{client} knows who is here", within=20)  # noqa: B023

    # --- steps ---

    def _client(self, step: Step) -> Client:
        return self._clients[step.whom % CLIENTS]

    async def talk(self, step: Step) -> None:
        """Several people speak, at once or one after the other."""
        for _ in range(int(step.much * 100)):
            self._said += 1
            client = self._clients[(step.whom + self._said) % CLIENTS]
            client.publish(f"{self._said}" if step.whom % 2 else f"{self._said} {LONG}")
            if step.whom % 3 == 0:
                await asyncio.sleep(0.002)
        await asyncio.sleep(step.much / 4)

    async def drop(self, step: Step) -> None:
        self._client(step).drop()

    async def move(self, step: Step) -> None:
        """Resume on another worker."""
        self._client(step).drop(to=int(step.much * 100))

    async def leave(self, step: Step) -> None:
        """Stay away for a while, until somebody calls all back."""
        self._client(step).leave()

    async def come_back(self, step: Step) -> None:
        for client in self._clients:
            client.come_back()

    async def stall(self, step: Step) -> None:
        self._client(step).stall()

    async def read_on(self, step: Step) -> None:
        for client in self._clients:
            client.read_on()

    async def kill_worker(self, step: Step) -> None:
        worker = self._service.workers[step.whom % WORKERS]
        await worker.kill()
        await asyncio.sleep(step.much / 4)
        await worker.start()

    async def drain_worker(self, step: Step) -> None:
        worker = self._service.workers[step.whom % WORKERS]
        await self._service.alive(worker)
        assert await worker.terminate() == 0, worker.log
        await worker.start()

    async def kill_redis(self, step: Step) -> None:
        await self._service.redis.kill()
        await asyncio.sleep(step.much)
        await self._service.redis.start()

    async def restart_redis(self, step: Step) -> None:
        await self._service.redis.stop()
        await self._service.redis.start()

    async def empty_redis(self, step: Step) -> None:
        self.history.epochs_lost += 1
        await self._service.empty()

    async def pause_redis(self, step: Step) -> None:
        self._service.redis.pause()
        await asyncio.sleep(step.much)
        self._service.redis.resume()

    async def kill_redis_clients(self, step: Step) -> None:
        await self._service.redis.cli("CLIENT", "KILL", "TYPE", "pubsub" if step.whom % 2 else "normal")

    async def cut(self, step: Step) -> None:
        """Break what one worker has to Redis, once."""
        self._service.to_redis[step.whom % WORKERS].proxy.reset()

    async def refuse(self, step: Step) -> None:
        """Keep a worker from Redis until all lines are mended."""
        await self._service.to_redis[step.whom % WORKERS].refuse()

    async def freeze(self, step: Step) -> None:
        """Let a worker's line to Redis go dead, still open, until all lines are mended."""
        self._service.to_redis[step.whom % WORKERS].proxy.freeze()

    async def deafen(self, step: Step) -> None:
        """Let only a worker's subscription go dead."""
        proxy = self._service.to_redis[step.whom % WORKERS].proxy
        assert isinstance(proxy, SubscriberProxy)
        proxy.freeze_subscribers()

    async def freeze_clients(self, step: Step) -> None:
        """Let the line between some clients and a worker go dead, still open."""
        self._service.to_workers[step.whom % WORKERS].proxy.freeze()

    async def cut_clients(self, step: Step) -> None:
        self._service.to_workers[step.whom % WORKERS].proxy.reset()

    async def mend(self, step: Step) -> None:
        """Mend all lines; after a frozen one, with what it held back."""
        for line in [*self._service.to_redis, *self._service.to_workers]:
            await line.mend()

    async def wait(self, step: Step) -> None:
        await asyncio.sleep(step.much)


# How often each happens, compared with the others.
WEIGHTS: dict[Callable[[Run, Step], Awaitable[None]], int] = {
    Run.talk: 12,
    Run.drop: 2,
    Run.move: 3,
    Run.leave: 2,
    Run.come_back: 2,
    Run.stall: 3,
    Run.read_on: 2,
    Run.kill_worker: 2,
    Run.drain_worker: 1,
    Run.kill_redis: 2,
    Run.restart_redis: 1,
    Run.empty_redis: 1,
    Run.pause_redis: 2,
    Run.kill_redis_clients: 2,
    Run.cut: 2,
    Run.refuse: 2,
    Run.freeze: 2,
    Run.deafen: 2,
    Run.freeze_clients: 1,
    Run.cut_clients: 1,
    Run.mend: 3,
    Run.wait: 2,
}
STEPS_BY_NAME = {step.__name__: step for step in WEIGHTS}


def schedule(seed: int) -> list[Step]:
    """Return the steps that a seed stands for."""
    rand = random.Random(seed)
    names = rand.choices(list(STEPS_BY_NAME), list(WEIGHTS.values()), k=STEPS)
    return [Step(name, rand.randrange(60), rand.uniform(0.05, 0.8)) for name in names]
