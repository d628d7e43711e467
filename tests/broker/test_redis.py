"""What the Redis broker promises beyond the contract: it comes back, from everything, by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from broadcaster import Broadcast

from chat import metrics, protocol
from chat.broker import Broker, from_settings
from chat.broker.redis import RedisBackend
from chat.events import Event, Link, Publication
from chat.exceptions import BrokerUnavailable
from chat.settings import Settings
from tests.broker.conftest import running, subscribed
from tests.publications import ADA
from tests.servers import RedisServer, TcpProxy, until

Break = Callable[[RedisServer, Broker], Awaitable[None]]


def body(text: str = "hello") -> bytes:
    return protocol.encode(protocol.body(ADA, text))


@asynccontextmanager
async def connected(url: str, *, prefix: str = "chat", patience: float = 0.5) -> AsyncIterator[Broker]:
    settings = Settings.load(broker_url=url, broker_prefix=prefix, broker_timeout=patience)
    async with running(from_settings(settings)) as broker:
        yield broker


async def events_until_message(next_event: Callable[[], Awaitable[Event]], text: str) -> list[Event]:
    """Return what is heard up to and including the message that says `text`."""
    heard: list[Event] = []
    async with asyncio.timeout(10):
        while not (heard and isinstance(heard[-1], Publication) and heard[-1].content.text == text):
            heard.append(await next_event())
    return heard


# --- it comes back ---


async def kill_subscribers(redis: RedisServer, broker: Broker) -> None:
    await redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
    await lost(broker)


async def restart(redis: RedisServer, broker: Broker) -> None:
    await redis.stop()
    await lost(broker)
    await redis.start()


async def crash(redis: RedisServer, broker: Broker) -> None:
    await redis.kill()
    await lost(broker)
    await redis.start()


async def pause(redis: RedisServer, broker: Broker) -> None:
    redis.pause()
    await lost(broker)
    redis.resume()


async def lost(broker: Broker) -> None:
    await until(lambda: not broker.available, "the loss of the link is noticed", within=5)


async def back(broker: Broker) -> None:
    await until(lambda: broker.available, "the link is up again", within=5)


@pytest.mark.parametrize("break_it", [kill_subscribers, restart, crash, pause])
async def test_it_comes_back_and_says_so(own_redis: RedisServer, break_it: Break) -> None:
    """Subscribers hear that the link went down, that it is up again, and what is said from then on."""
    async with connected(own_redis.url) as broker, subscribed(broker, "room") as next_event:
        await break_it(own_redis, broker)
        await back(broker)
        await broker.publish("room", body("back"))
        heard = await events_until_message(next_event, "back")
    assert [event for event in heard if isinstance(event, Link)] == [Link.DOWN, Link.UP]


async def test_it_is_back_within_two_seconds(own_redis: RedisServer) -> None:
    """Counted from when Redis answers again, after an outage long enough for the waits to have grown."""
    async with connected(own_redis.url) as broker:
        await own_redis.kill()
        await asyncio.sleep(2)
        await own_redis.start()
        began = time.monotonic()
        await back(broker)
    assert time.monotonic() - began < 2


async def test_publishing_fails_at_once_while_it_is_away(own_redis: RedisServer) -> None:
    """With an error that says after how long to try again; nobody waits for a timeout."""
    async with connected(own_redis.url, patience=5) as broker:
        await own_redis.kill()
        await lost(broker)
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable) as error:
            await broker.publish("room", body())
    assert time.monotonic() - began < 0.1
    assert error.value.retry_ms > 0


async def test_publishing_to_a_redis_that_hangs_has_a_deadline(own_redis: RedisServer) -> None:
    """A TCP connection that looks alive is no reason to wait for ever."""
    async with connected(own_redis.url, patience=0.5) as broker:
        own_redis.pause()
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await broker.publish("room", body())
        waited = time.monotonic() - began
        own_redis.resume()
    assert waited < 1.5


async def test_an_outage_that_nobody_sees_is_found(own_redis: RedisServer) -> None:
    """Frozen connections, open and silent: what is published to oneself does not come back."""
    async with TcpProxy(own_redis.port) as proxy, connected(f"redis://127.0.0.1:{proxy.port}") as broker:
        proxy.freeze()
        await lost(broker)
        proxy.thaw()
        await back(broker)
        assert (await broker.publish("room", body())).offset == 1


async def test_a_redis_that_is_not_there_yet_is_waited_for(own_redis: RedisServer) -> None:
    """A service may start before its Redis."""
    await own_redis.stop()
    async with connected(own_redis.url) as broker:
        assert not broker.available
        with pytest.raises(BrokerUnavailable):
            await broker.position("room")
        await own_redis.start()
        await back(broker)
        assert (await broker.publish("room", body())).offset == 1


async def test_a_room_entered_during_an_outage_is_heard_after_it(own_redis: RedisServer) -> None:
    """The subscription is made when the link is back."""
    async with connected(own_redis.url) as broker:
        await own_redis.kill()
        await lost(broker)
        async with subscribed(broker, "room") as next_event:
            await own_redis.start()
            await back(broker)
            await broker.publish("room", body("back"))
            await events_until_message(next_event, "back")


async def test_a_thousand_subscriptions_are_made_again(own_redis: RedisServer) -> None:
    """In few commands, and each of them."""
    async with connected(own_redis.url) as broker:
        contexts = [subscribed(broker, f"room-{number}") for number in range(1200)]
        for context in contexts:
            await context.__aenter__()
        await kill_subscribers(own_redis, broker)
        await back(broker)
        channels = (await own_redis.cli("PUBSUB", "CHANNELS", "chat:{room-*")).splitlines()
        for context in contexts:
            await context.__aexit__(None, None, None)
    assert len(channels) == 1200


async def test_scripts_are_there_before_anything_is_said(own_redis: RedisServer) -> None:
    """Also in a Redis that has just begun: whoever sends one again sends it behind what others said meanwhile."""
    async with connected(own_redis.url) as broker:
        await crash(own_redis, broker)
        await back(broker)
        posted = [f"{number}" for number in range(40)]
        for text in posted:
            broker.post("room", body(text), lambda outcome: None)
            await asyncio.sleep(0)
        await broker.publish("room", body("last"))
        page = await broker.history("room", after=0)
        stats = await own_redis.cli("INFO", "commandstats")
    assert [publication.content.text for publication in page.publications] == [*posted, "last"]
    assert "cmdstat_eval:" not in stats


async def test_scripts_are_loaded_again(own_redis: RedisServer) -> None:
    """A Redis that has forgotten them, as after a failover, is told them once more."""
    async with connected(own_redis.url) as broker:
        await broker.publish("room", body())
        await own_redis.cli("SCRIPT", "FLUSH")
        assert (await broker.publish("room", body())).offset == 2
        assert (await broker.position("room")).offset == 2


async def test_an_emptied_redis_is_a_new_epoch(own_redis: RedisServer) -> None:
    """So that nobody takes new offsets for old ones."""
    async with connected(own_redis.url) as broker:
        before = await broker.publish("room", body())
        await own_redis.cli("FLUSHALL")
        behind = await broker.publish("room", body())
    assert behind.epoch != before.epoch
    assert behind.offset == 1


async def test_an_append_only_file_keeps_everything(tmp_path: Path) -> None:
    """Epoch, offsets, messages and remembered keys outlive a kill of Redis."""
    async with RedisServer("--appendfsync", "always", data=tmp_path) as redis, connected(redis.url) as broker:
        first = await broker.publish("room", body("kept"), key="k")
        await crash(redis, broker)
        await back(broker)
        again = await broker.publish("room", body("kept"), key="k")
        (kept,) = (await broker.history("room")).publications
    assert (again.epoch, again.offset, again.duplicate) == (first.epoch, first.offset, True)
    assert kept.content.text == "kept"


# --- it tells what is wrong ---


async def test_a_redis_out_of_memory_is_an_error_and_no_loss_of_order(own_redis: RedisServer) -> None:
    """What could not be kept takes no offset."""
    async with connected(own_redis.url) as broker:
        await broker.publish("room", body())
        await own_redis.cli("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BrokerUnavailable, match="memory"):
            await broker.publish("room", body())
        await own_redis.cli("CONFIG", "SET", "maxmemory", "0")
        assert (await broker.publish("room", body())).offset == 2


async def test_a_wrong_password_is_told_without_it(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, once, and not the password."""
    await own_redis.cli("CONFIG", "SET", "requirepass", "right")
    async with connected(own_redis.url.replace("//", "//:hunter2@")) as broker:
        await asyncio.sleep(0.3)  # several tries
        assert not broker.available
    complaints = [record.getMessage() for record in caplog.records if "WRONGPASS" in record.getMessage()]
    assert len(complaints) == 1
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("payload", [b"\xff\xfe\xfd", b"", b"hello", b'{"text":"hello"}', b"m e 1 1 -\n{}"])
async def test_a_foreign_payload_is_skipped_and_counted(own_redis: RedisServer, payload: bytes) -> None:
    """Who publishes to our channel by hand disturbs nobody; not even bytes that are no UTF-8 do."""
    before = metrics.foreign_payloads._value.get()
    async with connected(own_redis.url) as broker, subscribed(broker, "room") as next_event:
        async with broker_connection(own_redis) as send:
            await send("PUBLISH", "chat:{room}", payload)
        await broker.publish("room", body("ours"))
        heard = await events_until_message(next_event, "ours")
    assert [event for event in heard if not isinstance(event, Link)] == heard[-1:]
    assert metrics.foreign_payloads._value.get() == before + 1


async def test_a_foreign_entry_in_the_log_is_skipped(own_redis: RedisServer) -> None:
    """The messages around it can still be read."""
    async with connected(own_redis.url) as broker:
        await broker.publish("room", body("a"))
        await own_redis.cli("XADD", "chat:{room}:log", "1-1", "p", "foreign")
        await own_redis.cli("XADD", "chat:{room}:log", "1-2", "foreign", "field")
        await broker.publish("room", body("b"))
        page = await broker.history("room", after=0)
    assert [publication.content.text for publication in page.publications] == ["a", "b"]


@asynccontextmanager
async def broker_connection(redis: RedisServer) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Somebody else's connection to the same Redis."""
    from redis.asyncio import Redis

    async with Redis.from_url(redis.url) as client:
        yield client.execute_command


# --- where it is ---


async def test_a_password(own_redis: RedisServer) -> None:
    """In the URL, for the default user."""
    await own_redis.cli("CONFIG", "SET", "requirepass", "p@ss/word")
    async with connected(own_redis.url.replace("//", "//:p%40ss%2Fword@")) as broker:
        assert (await broker.publish("room", body())).offset == 1


async def test_a_user_who_may_do_no_more_than_needed(own_redis: RedisServer) -> None:
    """The rights that operations should give: our keys, our channels, the commands that are used."""
    rights = "on >secret ~chat:* &chat:* +@read +@write +@stream +@scripting +@pubsub +@connection +time"
    await own_redis.cli("ACL", "SETUSER", "chat", *rights.split())
    url = own_redis.url.replace("//", "//chat:secret@")
    async with connected(url) as broker, subscribed(broker, "room") as next_event:
        await broker.publish("room", body("allowed"), key="k")
        await events_until_message(next_event, "allowed")
        assert len((await broker.history("room")).publications) == 1


async def test_a_database_of_its_own(own_redis: RedisServer) -> None:
    """The number at the end of the URL."""
    async with connected(own_redis.url.replace("/0", "/5")) as broker:
        await broker.publish("room", body())
    assert await own_redis.cli("-n", "5", "DBSIZE") != "0"
    assert await own_redis.cli("-n", "0", "DBSIZE") == "0"


async def test_a_unix_socket(tmp_path: Path) -> None:
    """`unix://` and a path."""
    path = tmp_path / "redis.sock"
    async with RedisServer("--unixsocket", str(path)), connected(f"unix://{path}") as broker:
        receipt = await broker.publish("room", body("near"))
        assert receipt.offset == 1


async def test_two_services_share_a_redis_by_their_prefixes(own_redis: RedisServer) -> None:
    """Neither rooms nor logs of the one are seen by the other."""
    async with connected(own_redis.url, prefix="a") as one, connected(own_redis.url, prefix="b") as other:
        async with subscribed(other, "room") as next_event:
            await one.publish("room", body("of a"))
            await other.publish("room", body("of b"))
            heard = await events_until_message(next_event, "of b")
        assert len([event for event in heard if isinstance(event, Publication)]) == 1


async def test_everything_it_keeps_expires(own_redis: RedisServer) -> None:
    """A room that nobody uses any more leaves nothing behind, and every key begins with the prefix."""
    async with connected(own_redis.url, prefix="mine") as broker:
        await broker.publish("room", body(), key="k")
        await broker.position("other")
        keys = (await own_redis.cli("KEYS", "*")).splitlines()
        lifetimes = {key: int(await own_redis.cli("TTL", key)) for key in keys}
    assert lifetimes
    assert [key for key, seconds in lifetimes.items() if seconds < 0 or not key.startswith("mine:")] == []


# --- as a part for others ---


async def test_it_is_a_drop_in_backend_for_broadcaster(own_redis: RedisServer) -> None:
    """Who uses broadcaster alone gets a Redis backend that delivers, and comes back, by one changed line."""
    backend = RedisBackend(own_redis.url)
    async with Broadcast(backend=backend) as broadcast, broadcast.subscribe("news") as subscriber, asyncio.timeout(10):
        await broadcast.publish("news", "first")
        assert (await subscriber.get()).message == "first"
        await own_redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: not backend.available, "the loss is noticed", within=5)
        await until(lambda: backend.available, "the link is up again", within=5)
        await broadcast.publish("news", "second")
        event = await subscriber.get()
    assert (event.channel, event.message) == ("news", "second")
