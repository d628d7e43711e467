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
import asyncio, sys
from broadcaster import Broadcast
from chat.broker.redis import RedisBackend

async def delivers(broadcast):
    async with broadcast, broadcast.subscribe("news") as subscriber:
        for _ in range(4):
            await broadcast.publish("news", "hello")
            try:
                await asyncio.wait_for(subscriber.get(), 0.5)
                return True
            except TimeoutError:
                pass
        return False

url, whose = sys.argv[1:]
broadcast = Broadcast(url) if whose == "theirs" else Broadcast(backend=RedisBackend(url))
print("delivers" if asyncio.run(delivers(broadcast)) else "delivers nothing", flush=True)
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


async def test_the_backend_that_broadcaster_ships_delivers_nothing(shared_redis: RedisServer) -> None:
    """Four messages in two seconds, none of which arrives, and no error; ours delivers the first."""
    theirs, ours = await asyncio.gather(verdict(shared_redis, "theirs"), verdict(shared_redis, "ours"))
    assert ours == "delivers"
    assert theirs == "delivers nothing", (
        f"broadcaster {broadcaster.__version__} on redis-py {redis.__version__} delivers now: "
        f"see whether chat/broker/redis.py still needs a backend of its own. It said: {theirs}"
    )
