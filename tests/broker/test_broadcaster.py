"""Why the Redis backend that broadcaster brings along is not used."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import broadcaster
import redis

from tests.servers import PATIENCE, RedisServer

# In a process of its own: broadcaster leaves tasks and connections behind when it fails.
PROGRAM = """
import asyncio, os, sys
from redis.asyncio import Redis
from broadcaster import Broadcast
from chat.broker.redis import RedisBackend
from chat.exceptions import BrokerUnavailable

async def hears(broadcast, subscriber):
    for _ in range(4):
        try:
            await broadcast.publish("news", "hello")
            await asyncio.wait_for(subscriber.get(), 0.5)
            return True
        except (TimeoutError, BrokerUnavailable):
            await asyncio.sleep(0.2)
    return False

async def verdict(broadcast, url):
    async with broadcast, broadcast.subscribe("news") as subscriber:
        if not await hears(broadcast, subscriber):
            return "delivers nothing"
        async with Redis.from_url(url) as redis:
            await redis.client_kill_filter(_type="pubsub")
        if not await hears(broadcast, subscriber):
            return "delivers nothing once its connection was lost"
        return "delivers"

url, whose = sys.argv[1:]
broadcast = Broadcast(url) if whose == "theirs" else Broadcast(backend=RedisBackend(url))
print(asyncio.run(verdict(broadcast, url)), flush=True)
os._exit(0)  # its listener may have died of the lost connection, which it would raise here
"""


async def verdict(server: RedisServer, whose: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, server.url, whose],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.stdout.strip() or done.stderr


async def test_the_backend_that_broadcaster_ships_does_not_do(own_redis: RedisServer) -> None:
    """It hears nothing at all, or nothing any more once Redis closed its connection, and says so to nobody.

    Which of the two depends on the turn of tasks: on CPython 3.11 it is deaf from the start, on 3.13 it is not.
    """
    theirs, ours = await verdict(own_redis, "theirs"), await verdict(own_redis, "ours")
    assert ours == "delivers"
    assert theirs.startswith("delivers nothing"), (
        f"broadcaster {broadcaster.__version__} on redis-py {redis.__version__} delivers now: "
        f"see whether chat/broker/redis.py still needs a backend of its own. It said: {theirs}"
    )
