"""Everybody can use it: by keyboard, by ear, on a small screen, with large type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import People, speaker
from tests.servers import ChatServer, TcpProxy

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCREENS: list[Any] = [
    pytest.param({"color_scheme": "light"}, id="light"),
    pytest.param({"color_scheme": "dark"}, id="dark"),
    pytest.param({"forced_colors": "active"}, id="forced"),
    pytest.param({"color_scheme": "light", "viewport": {"width": 390, "height": 780}}, id="narrow"),
    pytest.param({"color_scheme": "dark", "viewport": {"width": 320, "height": 640}}, id="narrowest"),
]


@pytest.mark.parametrize("options", SCREENS)
async def test_no_state_of_the_page_breaks_a_rule(
    people: People, chat: ChatServer, room: str, options: dict[str, Any]
) -> None:
    ann = await people.tab(chat.url(""), **options)
    problems: list[str] = []
    await ann.visit("")
    await ann.page.get_by_role("button", name="Join room").click()
    problems += await broken_rules(ann.page, "form")
    await ann.join(room, "Ann")
    problems += await broken_rules(ann.page, "empty room")
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("hello https://example.org `code`", "```\nblock\n```", *(f"line {n}" for n in range(20)))
        await ann.say("hi")
        await ann.hears("hi")
        await ann.scroll_to(0)
        await bob.say("new")
        await expect(ann.pill).to_be_visible()
        problems += await broken_rules(ann.page, "room")
    await ann.page.get_by_role("button", name="Menu").click()
    problems += await broken_rules(ann.page, "menu")
    await ann.page.keyboard.press("Escape")
    await ann.chip.click()
    problems += await broken_rules(ann.page, "details")
    await ann.page.keyboard.press("Escape")
    if "viewport" in options:
        for drawer in ("Rooms", "People"):
            await ann.page.get_by_role("button", name=drawer).click()
            problems += await broken_rules(ann.page, f"drawer of {drawer}")
            await ann.page.keyboard.press("Escape")
    await ann.page.goto(chat.url("/?plain=1"))
    problems += await broken_rules(ann.page, "plain text")
    assert problems == []


@pytest.mark.parametrize("options", SCREENS)
async def test_no_trouble_of_the_page_breaks_a_rule(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy, options: dict[str, Any]
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}", **options)
    await ann.page.clock.install()
    problems: list[str] = []
    await ann.join(room, "Ann")
    await proxy.refuse()
    proxy.reset()
    await ann.is_in_state("waiting")
    for text in ("first", "second"):
        await ann.say(text)
    await ann.box.fill("x" * 4_001)
    await ann.page.clock.fast_forward(6_000)
    await expect(ann.banner).to_contain_text("Connection lost.")
    problems += await broken_rules(ann.page, "disconnected")
    await ann.page.clock.fast_forward(301_000)  # by now the talk may have moved on
    await proxy.accept()
    await ann.page.clock.fast_forward(31_000)
    await ann.is_live()
    await expect(ann.page.get_by_text("2 messages not sent")).to_be_visible()
    problems += await broken_rules(ann.page, "not sent")
    assert problems == []


@pytest.mark.parametrize("options", SCREENS)
async def test_no_way_to_sign_in_breaks_a_rule(
    people: People, guests: ChatServer, room: str, options: dict[str, Any]
) -> None:
    context = await people.context(**options)
    ann, again = [await people.tab(guests.url(""), context) for _ in range(2)]
    problems: list[str] = []
    await ann.visit(room)
    await ann.page.locator("#join-form summary").click()
    await ann.page.get_by_label("Token", exact=True).fill("nonsense")
    await ann.page.get_by_role("button", name="Join room").click()
    await expect(ann.page.get_by_text("This token is not valid")).to_be_visible()
    problems += await broken_rules(ann.page, "refused token")
    await ann.page.get_by_label("Token", exact=True).fill("")
    await ann.join(room, "Ann")
    await again.visit(room)
    await expect(again.page.get_by_text("Signed in as")).to_be_visible()
    problems += await broken_rules(again.page, "signed in")
    await context.clear_cookies()
    await ann.to_front()
    await ann.page.evaluate("dispatchEvent(new Event('pagehide'))")
    await ann.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await expect(ann.page.get_by_role("dialog", name="Your sign-in has expired")).to_be_visible()
    problems += await broken_rules(ann.page, "expired")
    assert problems == []


async def test_everything_can_be_done_by_keyboard(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.visit(room)
    keyboard = ann.page.keyboard
    await expect(ann.page.get_by_label("Name", exact=True)).to_be_focused()
    await keyboard.type("Ann")
    await keyboard.press("Enter")
    await ann.is_live()
    await expect(ann.box).to_be_focused()
    await keyboard.type("by keyboard")
    await keyboard.press("Enter")
    await ann.hears("by keyboard")
    await ann.page.get_by_role("link", name="Skip to the message box").focus()
    await keyboard.press("Enter")
    await expect(ann.box).to_be_focused()
    await ann.page.get_by_role("button", name="Menu").focus()
    await keyboard.press("Enter")
    await keyboard.press("Tab")
    await expect(ann.page.get_by_role("radio", name="Auto")).to_be_focused()
    await keyboard.press("Escape")
    await expect(ann.page.get_by_role("button", name="Menu")).to_be_focused()


async def test_a_screen_reader_hears_others_once_and_oneself_not_at_all(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("before I came")
        await ann.join(room, "Ann")
        await ann.page.evaluate(
            """() => {
                window.heard = [];
                const collect = (changes) => changes.forEach(({addedNodes}) =>
                    addedNodes.forEach((node) => heard.push(node.textContent)));
                new MutationObserver(collect).observe(document.getElementById("announcer"), {childList: true});
            }"""
        )
        await ann.say("mine")
        await bob.say("hello Ann")
        await ann.hears("hello Ann")
    assert await ann.page.evaluate("heard") == ["Bob: hello Ann"]
    await expect(ann.log).to_have_attribute("aria-live", "off")


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_nothing_sticks_out_of_a_narrow_screen(people: People, chat: ChatServer, room: str, width: int) -> None:
    ann = await people.tab(chat.url(""), viewport={"width": width, "height": 640})
    await ann.join(f"{room}-with-a-rather-long-name-that-goes-on", "Ann with a rather long name that goes on")
    await ann.say("https://example.org/" + "a" * 300)
    await ann.say("```\n" + "x" * 300 + "\n```")
    await ann.page.evaluate("document.documentElement.style.fontSize = '200%'")
    await expect(ann.log.locator(".body")).to_have_count(2)
    assert await ann.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert await ann.log.evaluate("log => log.scrollWidth - log.clientWidth") <= 0
    assert await ann.distance_from_bottom() <= 1
    await expect(ann.page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)


async def test_on_a_narrow_screen_rooms_and_people_come_in_a_drawer(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""), viewport={"width": 390, "height": 780})
    await ann.join(room, "Ann")
    await ann.page.get_by_role("button", name="People: 1").click()
    drawer = ann.page.get_by_role("dialog", name="People")
    await expect(drawer.get_by_text("(you)")).to_be_visible()
    await ann.page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(ann.page.get_by_role("button", name="People: 1")).to_be_focused()
    await ann.page.get_by_role("button", name="Rooms").click()
    await ann.page.get_by_role("dialog", name="Rooms").get_by_label("Another room").fill(f"{room}-2")
    await ann.page.get_by_role("dialog", name="Rooms").get_by_label("Another room").press("Enter")
    await expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"# {room}-2")
    await expect(ann.page.get_by_role("dialog")).to_have_count(0)


async def test_light_and_dark_are_chosen_once_for_all_tabs(people: People, chat: ChatServer, room: str) -> None:
    context = await people.context(color_scheme="light")
    here, there = [await people.tab(chat.url(""), context) for _ in range(2)]
    for tab in (here, there):
        await tab.join(room, "Ann")
    await here.to_front()
    await here.page.get_by_role("button", name="Menu").click()
    await here.page.get_by_role("radio", name="Dark").check(force=True)
    for tab in (here, there):
        await expect(tab.page.locator("body")).to_have_css("background-color", "rgb(20, 22, 26)")


async def broken_rules(page: Page, state: str) -> list[str]:
    # A transition that has not ended shows colours that nobody chose.
    await page.evaluate(
        """() => Promise.all(
            document.getAnimations()
                .filter((one) => one.effect.getTiming().iterations !== Infinity)
                .map((one) => one.finished.catch(() => {})))"""
    )
    await page.evaluate(AXE + ";0")
    result = await page.evaluate(
        "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})", RULES
    )
    return [
        f"{state}: {broken['id']}: {node['target']} {node['failureSummary']}"
        for broken in result["violations"]
        for node in broken["nodes"]
    ]
