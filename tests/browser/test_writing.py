"""Keys, drafts, limits, and what becomes of a message that could not be sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import People, Tab
from tests.servers import ChatServer, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_enter_sends_and_shift_enter_starts_a_new_line(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await expect(ann.box).to_be_focused()
    await ann.page.keyboard.type("one")
    await ann.page.keyboard.press("Shift+Enter")
    await ann.page.keyboard.type("two")
    await ann.page.keyboard.press("Enter")
    await expect(ann.log.locator(".body")).to_have_text("one\ntwo", use_inner_text=True)
    await expect(ann.box).to_have_value("")
    await expect(ann.box).to_be_focused()


async def test_on_a_touch_screen_enter_starts_a_new_line_and_the_button_sends(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""), viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    await ann.join(room, "Ann")
    await expect(ann.box).not_to_be_focused()
    await ann.box.tap()
    await ann.page.keyboard.type("one")
    await ann.page.keyboard.press("Enter")
    await ann.page.keyboard.type("two")
    await ann.page.get_by_role("button", name="Send").tap()
    await expect(ann.log.locator(".body")).to_have_text("one\ntwo", use_inner_text=True)
    await expect(ann.box).to_be_focused()


async def test_the_enter_that_ends_a_composition_sends_nothing(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    devtools = await ann.page.context.new_cdp_session(ann.page)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    await devtools.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    await devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    await devtools.send("Input.insertText", {"text": "日本"})
    await expect(ann.box).to_have_value("日本")
    await expect(ann.log.locator(".body")).to_have_count(0)
    await ann.page.keyboard.press("Enter")
    await ann.hears("日本")


async def test_nothing_but_white_space_is_not_sent(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.say("  \n ")
    await ann.say("said")
    await ann.hears("said")
    assert await ann.texts() == ["said"]


async def test_typing_with_the_focus_on_the_log_goes_to_the_box(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.log.focus()
    await ann.page.keyboard.type("hi")
    await expect(ann.box).to_have_value("hi")


async def test_a_draft_outlasts_a_reload_and_is_gone_once_sent(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.box.fill("begun")
    await ann.page.reload()
    await ann.is_live()
    await expect(ann.box).to_have_value("begun")
    await ann.box.press("Enter")
    await ann.hears("begun")
    await ann.page.reload()
    await ann.is_live()
    await expect(ann.box).to_have_value("")


async def test_each_room_has_its_own_draft(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.box.fill("for the first room")
    await ann.page.get_by_label("Another room").fill(f"{room}-2")
    await ann.page.get_by_label("Another room").press("Enter")
    await expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"# {room}-2")
    await expect(ann.box).to_have_value("")
    await ann.page.get_by_role("navigation", name="Rooms").get_by_role("link", name=f"# {room}", exact=True).click()
    await expect(ann.box).to_have_value("for the first room")


async def test_the_limit_is_counted_and_nothing_is_cut(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    send = ann.page.get_by_role("button", name="Send")
    await ann.box.fill("😀" * 3_700)
    await expect(ann.page.locator("#composer-count")).to_have_text("3,700 / 4,000")
    await ann.box.fill("x" * 4_120)
    await expect(ann.page.locator("#composer-count")).to_have_text("120 characters too long")
    await expect(send).to_have_attribute("aria-disabled", "true")
    await ann.box.press("Enter")
    assert len(await ann.box.input_value()) == 4_120
    await ann.box.fill("😀" * 4_000)
    await ann.box.press("Enter")
    await expect(ann.log.locator(".row-message")).to_have_attribute("data-state", "sent")


async def test_a_refused_message_says_so_and_can_be_tried_again_or_deleted(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    refusing = await refuse_messages(ann.page, lambda: {"code": "forbidden", "message": "no"})
    await ann.join(room, "Ann")
    await ann.say("first")
    row = ann.row("first")
    await expect(row).to_contain_text("Not sent: you may read here, but not write.")
    await ann.say("second")
    together = ann.page.get_by_text("2 messages not sent")
    await expect(together).to_be_visible()
    await ann.row("second").get_by_role("button", name="Delete").click()
    await expect(ann.row("second")).to_have_count(0)
    await expect(ann.box).to_be_focused()
    await expect(together).to_be_hidden()
    refusing.clear()
    await row.get_by_role("button", name="Try again").click()
    await ann.hears("first")


async def test_too_fast_means_waiting_and_nothing_is_lost(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    refusing = await refuse_messages(
        ann.page, lambda: {"code": "rate_limited", "message": "too fast", "retry_ms": 2_500}
    )
    await ann.join(room, "Ann")
    await ann.say("too fast")
    await expect(ann.page.get_by_role("button", name="Wait 3 s")).to_have_attribute("aria-disabled", "true")
    await expect(ann.page.get_by_text("You’re sending too fast.", exact=True)).to_be_visible()
    await ann.box.fill("typed meanwhile")
    refusing.clear()
    await ann.hears("too fast")
    await expect(ann.page.get_by_role("button", name="Send")).to_have_attribute("aria-disabled", "false")
    await expect(ann.box).to_have_value("typed meanwhile")


async def test_what_failed_survives_a_reload(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    refusing = await refuse_messages(ann.page, lambda: {"code": "forbidden", "message": "no"})
    await ann.join(room, "Ann")
    await ann.say("kept")
    await expect(ann.row("kept")).to_have_attribute("data-state", "failed")
    refusing.clear()
    await ann.page.reload()
    await ann.is_live()
    await expect(ann.row("kept")).to_have_attribute("data-state", "failed")


async def test_page_keys_scroll_the_log_from_the_box(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    for number in range(30):
        await ann.say(f"line {number}")
    await ann.hears("line 29")
    await ann.box.press("PageUp")
    await until(lambda: far_from_bottom(ann), "PageUp scrolls the log")
    await ann.box.press("PageDown")
    await ann.box.press("PageDown")
    assert await ann.distance_from_bottom() <= 1


async def far_from_bottom(tab: Tab) -> bool:
    return await tab.distance_from_bottom() > 200


async def refuse_messages(page: Page, error: Callable[[], dict[str, Any]]) -> list[bool]:
    """Answer each publish with an error, as long as the returned list is not empty."""
    refusing = [True]

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(frame: str | bytes) -> None:
            command = json.loads(frame)
            if command["type"] == "publish" and refusing:
                socket.send(json.dumps({"type": "error", "id": command["id"], **error()}))
            else:
                server.send(frame)

        socket.on_message(forward)

    await page.route_web_socket("**/ws?*", connect)
    return refusing
