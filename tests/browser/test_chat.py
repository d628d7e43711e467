"""People in browser tabs talk to each other."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import People
from tests.servers import ChatServer, RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_tabs_of_one_browser_chat(people: People, chat: ChatServer, room: str) -> None:
    context = await people.context()
    ann, bob = [await people.tab(chat.url(""), context) for _ in range(2)]
    await ann.join(room, "Ann")
    await bob.join(room, "Bob")
    await ann.say("Hello from Ann")
    await bob.say("Hello from Bob")
    for tab in (ann, bob):
        await tab.hears("Hello from Ann")
        await tab.hears("Hello from Bob")
    await expect(ann.row("Hello from Ann").get_by_text("You", exact=True)).to_be_visible()
    await expect(bob.row("Hello from Ann").get_by_text("Ann", exact=True)).to_be_visible()


async def test_three_people_on_three_workers_chat_over_redis(
    people: People, shared_redis: RedisServer, prefix: str, room: str
) -> None:
    async with ChatServer(workers=3, CHAT_BROKER_URL=shared_redis.url, CHAT_BROKER_PREFIX=prefix) as chat:
        tabs = []
        for pid, name in zip(chat.worker_pids(), ("Ann", "Bob", "Cleo"), strict=True):
            with chat.only(pid):
                tabs.append(await people.tab(chat.url("")))
                await tabs[-1].join(room, name)
        ann, bob, cleo = tabs
        assert len({await tab.worker() for tab in tabs}) == 3
        for tab, text in ((ann, "Hello across"), (bob, "Hello back"), (cleo, "Hello both")):
            await tab.say(text)
        for tab in (ann, bob, cleo):
            for text in ("Hello across", "Hello back", "Hello both"):
                await tab.hears(text)
        assert await ann.texts() == await bob.texts() == await cleo.texts()


async def test_rooms_are_apart(people: People, chat: ChatServer, room: str) -> None:
    ann, bob = [await people.tab(chat.url("")) for _ in range(2)]
    await ann.join(room, "Ann")
    await bob.join(f"{room}-2", "Bob")
    await ann.say("only for foo")
    await bob.say("only for bar")
    await ann.hears("only for foo")
    await bob.hears("only for bar")
    assert await bob.texts() == ["only for bar"]


async def test_a_reloaded_tab_is_back_in_its_room_as_the_same_person(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.say("still me?")
    await ann.hears("still me?")
    await ann.page.reload()
    await ann.is_live()
    await expect(ann.row("still me?").get_by_text("You", exact=True)).to_be_visible()


async def test_a_name_and_a_room_are_needed_and_nothing_typed_is_lost(people: People, chat: ChatServer) -> None:
    tab = await people.tab(chat.url(""))
    await tab.visit("")
    room, name = (tab.page.get_by_label(label, exact=True) for label in ("Room", "Name"))
    await room.fill("two words")
    await tab.page.get_by_role("button", name="Join room").click()
    await expect(room).to_be_focused()
    await expect(room).to_have_accessible_description(
        "Room names may use letters, digits and - _ . : @ ~, and no spaces."
    )
    await expect(name).to_have_accessible_description("Enter the name that others will see.")
    await expect(room).to_have_value("two words")
