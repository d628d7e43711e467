"""How long a log is kept, and that what tells its messages apart is kept for longer."""

from __future__ import annotations

import pytest

from chat import protocol
from chat.broker import from_settings
from chat.settings import REVOCATIONS, Settings
from tests.broker.conftest import Open, running
from tests.publications import ADA
from tests.servers import RedisServer, until

BODY = protocol.encode(protocol.body(ADA, "hello"))


async def test_a_log_of_our_own_is_not_kept_like_a_room(open_broker: Open) -> None:
    """It is neither as short nor as short-lived."""
    broker = await open_broker(history_size=2, history_ttl=1)
    for log in ("room", "!log"):
        for _ in range(5):
            await broker.publish(log, BODY)
    assert len((await broker.history("room", after=0)).publications) == 2

    async def expired() -> bool:
        return not (await broker.history("room", after=0)).publications

    await until(expired, "what was said in the room is gone", within=5)
    assert len((await broker.history("!log", after=0)).publications) == 5


def test_how_a_log_is_kept() -> None:
    settings = Settings.load(history_size=2, history_ttl=1, revocation_ttl=3)
    assert settings.kept("room") == (2, 1)
    assert settings.kept("!revoked") == (REVOCATIONS, 3)


@pytest.mark.parametrize("seconds", [60, 365 * 86400, 0])
async def test_an_epoch_outlives_the_messages(shared_redis: RedisServer, prefix: str, seconds: int) -> None:
    """Without it they would be thrown away as another log's; 0: for ever."""
    settings = Settings.load(broker_url=shared_redis.url, broker_prefix=prefix, history_ttl=seconds)
    async with running(from_settings(settings)) as broker:
        await broker.publish("room", BODY)
        for use in (broker.position, broker.history):
            await use("room")
            log, head = [int(await shared_redis.cli("TTL", f"{prefix}:{{room}}:{key}")) for key in ("log", "head")]
            assert log == -1 if seconds == 0 else 0 < log <= seconds
            assert head > max(log, 29 * 86400)
            assert seconds or head > 50 * 365 * 86400
