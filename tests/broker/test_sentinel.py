"""Redis behind sentinels: the master is found, and found again after a failover."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chat import protocol
from chat.broker import from_settings
from chat.settings import Settings
from tests.broker.conftest import running
from tests.publications import ADA
from tests.servers import RedisServer, until


class Sentinel(RedisServer):
    """A real sentinel, on its own, so its word alone counts."""

    def __init__(self, master: RedisServer, folder: Path) -> None:
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        super().__init__()
        self._command = ("redis-server", str(configuration), "--sentinel")


@asynccontextmanager
async def replicated(folder: Path) -> AsyncIterator[tuple[RedisServer, RedisServer, Sentinel]]:
    async with RedisServer() as master, RedisServer("--replicaof", "127.0.0.1", str(master.port)) as replica:

        async def synchronised() -> bool:
            return "master_link_status:up" in await replica.cli("INFO", "replication")

        await until(synchronised, "the replica follows its master")
        async with Sentinel(master, folder) as sentinel:

            async def seen() -> bool:
                return bool(await sentinel.cli("SENTINEL", "REPLICAS", "main"))

            await until(seen, "the sentinel knows of the replica")
            yield master, replica, sentinel


@pytest.mark.timeout(60)
async def test_after_a_failover_the_new_master_is_found(tmp_path: Path) -> None:
    """By itself; what was replicated is there, and offsets go on."""
    said = protocol.encode(protocol.body(ADA, "hello"))
    async with replicated(tmp_path) as (master, replica, sentinel):
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main/0"
        async with running(from_settings(Settings.load(broker_url=url, broker_timeout=1))) as broker:
            before = await broker.publish("room", said)
            assert await master.cli("WAIT", "1", "1000") == "1"
            await master.kill()
            await until(lambda: not broker.available, "the loss is noticed")
            await until(lambda: broker.available, "the new master is found")
            behind = await broker.publish("room", said)
        assert "role:master" in await replica.cli("INFO", "replication")
    assert (behind.epoch, behind.offset) == (before.epoch, 2)


async def test_without_a_sentinel_that_knows_it_waits(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """And says so in the log, without the password."""
    url = f"redis+sentinel://:hunter2@127.0.0.1:{own_redis.port}/main/0"
    async with running(from_settings(Settings.load(broker_url=url, broker_timeout=0.5))) as broker:
        assert not broker.available
    assert "no sentinel knows the master of main" in caplog.text
    assert "hunter2" not in caplog.text
