"""A connection that breaks heals by itself, and nothing said is lost or doubled."""

from __future__ import annotations

import pytest

from tests.browser.conftest import People
from tests.servers import ChatServer, RedisServer


@pytest.mark.parametrize("stop", ["terminate", "kill"])
async def test_a_restarted_server_is_found_again(
    people: People, shared_redis: RedisServer, prefix: str, stop: str
) -> None:
    async with ChatServer(CHAT_BROKER_URL=shared_redis.url, CHAT_BROKER_PREFIX=prefix) as chat:
        ann, bob = [await people.tab(chat.url("")) for _ in range(2)]
        await ann.join("foo", "Ann")
        await bob.join("foo", "Bob")
        await ann.say("before")
        await bob.hears("before")
        await (chat.terminate() if stop == "terminate" else chat.kill())
        await ann.is_in_state("waiting")
        await ann.say("while it was away")
        await chat.start()
        for tab in (ann, bob):
            await tab.is_live()
            await tab.hears("while it was away")
            assert await tab.texts() == ["before", "while it was away"]
