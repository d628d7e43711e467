"""The tutorial's client at /?plain=1: lines of text, in the same rooms."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import People, Tab, speaker
from tests.servers import ChatServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def connect(tab: Tab, room: str, token: str) -> None:
    await tab.page.goto(f"{tab.address}/?plain=1&room={room}")
    await tab.page.get_by_label("Token").fill(token)
    await tab.page.get_by_role("button", name="Connect").click()
    await expect(tab.page.get_by_role("status")).to_have_text(f"Connected to {room}")


async def say(tab: Tab, text: str) -> None:
    await tab.page.get_by_label("Message").fill(text)
    await tab.page.get_by_label("Message").press("Enter")


async def test_the_tutorials_lines_come_as_they_are(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await connect(ann, room, "secret-of-ann")
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("hello <b>Ann</b>")
        await expect(ann.log.get_by_role("listitem")).to_have_count(1)
        await say(ann, "hello Bob")
        await expect(ann.log.get_by_role("listitem")).to_have_count(3)
    await expect(ann.log.get_by_role("listitem")).to_have_text(
        [
            "Client #Bob says: hello <b>Ann</b>",
            "Session cookie or query token value is: secret-of-ann",
            f"Message text was: hello Bob, for item ID: {room}",
            "Client #Bob left the chat",
        ],
        use_inner_text=True,
    )


async def test_both_pages_are_in_the_same_room(people: People, chat: ChatServer, room: str) -> None:
    plain, ann = [await people.tab(chat.url("")) for _ in range(2)]
    await ann.join(room, "Ann")
    await connect(plain, room, "secret")
    await say(plain, "from the tutorial")
    await ann.hears("from the tutorial")
    await ann.say("from the page")
    await expect(plain.log).to_contain_text("Client #Ann says: from the page")


async def test_a_connection_that_ends_says_so_and_the_next_one_can_begin(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.page.goto(f"{ann.address}/?plain=1")
    await say(ann, "too early")
    await expect(ann.page.get_by_role("status")).to_have_text("Not connected. Press Connect first.")
    await expect(ann.page.get_by_label("Message")).to_have_value("too early")
    await ann.page.get_by_label("Token").fill("")
    await ann.page.get_by_role("button", name="Connect").click()
    await expect(ann.page.get_by_role("status")).to_have_text("Not connected: closed with 1006")
    await connect(ann, room, "secret")
