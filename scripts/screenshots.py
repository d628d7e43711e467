"""Takes the pictures of the page in docs/screenshots: people in a real browser talk, and something goes wrong."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests.browser.conftest import Tab, speaker
from tests.servers import ROOT, ChatServer, TcpProxy

FOLDER = ROOT / "docs" / "screenshots"
WIDE: dict[str, Any] = {"viewport": {"width": 1200, "height": 800}, "device_scale_factor": 1.5}
SIDE: dict[str, Any] = {"viewport": {"width": 620, "height": 700}, "device_scale_factor": 1.5}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 760},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

# The system's own font is what the page takes; here it is Inter, where that is installed (Debian: fonts-inter).
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include>
<match target="pattern"><test name="family"><string>sans-serif</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
<match target="pattern"><test name="family"><string>system-ui</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
</fontconfig>"""


async def main() -> None:
    secret = secrets.token_hex(32)
    async with (
        launched_browser() as browser,
        ChatServer() as chat,
        ChatServer(CHAT_SECRET_KEY=secret, CHAT_GUESTS="true") as guests,
    ):
        await two_tabs(browser, chat)
        await join_form(browser, guests)
        await busy_room(browser, chat, "release-72", "room", {**WIDE, "color_scheme": "light"})
        await busy_room(browser, chat, "release-73", "room-dark", {**WIDE, "color_scheme": "dark"})
        await busy_room(browser, chat, "release-74", "phone", PHONE)
        await broken_connection(browser, chat)


@asynccontextmanager
async def launched_browser() -> AsyncIterator[Browser]:
    with font_settings() as path:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                # Chromium's own sandbox refuses root, and a container's /dev/shm is too small for it.
                args=["--no-sandbox", "--disable-dev-shm-usage"],
                env={**os.environ, "FONTCONFIG_FILE": path},
            )
            async with browser:
                yield browser


@contextmanager
def font_settings() -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(FONTS)
        file.flush()
        yield file.name


async def new_tab(browser: Browser, address: str, options: dict[str, Any]) -> Tab:
    context = await browser.new_context(locale="en-GB", reduced_motion="reduce", **options)
    return Tab(await context.new_page(), address)


async def two_tabs(browser: Browser, chat: ChatServer) -> None:
    ada, grace = [await new_tab(browser, chat.url(""), SIDE) for _ in range(2)]
    await ada.join("garden", "Ada")
    await grace.join("garden", "Grace")
    for tab, text in (
        (ada, "Is anybody bringing a spade?"),
        (grace, "I am. And two rakes."),
        (ada, "Good. We start at nine, at the gate by the pond."),
        (ada, "The seedlings are in the shed."),
        (grace, "See you there 🌱"),
        (grace, "Which side do the beans go?"),
        (ada, "South, along the wall: https://garden.example.org/plan"),
        (grace, "Found it, thanks."),
    ):
        await tab.say(text)
        for other in (ada, grace):
            await other.hears(text)
    await grace.box.press_sequentially("I will bring the rain barrel", delay=60)
    await ada.page.get_by_text("Grace is typing…").wait_for()
    await grace.page.mouse.move(0, 0)
    pictures = [base64.b64encode(await tab.page.screenshot()).decode() for tab in (ada, grace)]
    await side_by_side(browser, pictures)


async def side_by_side(browser: Browser, pictures: list[str]) -> None:
    gap, width, height = 16, SIDE["viewport"]["width"], SIDE["viewport"]["height"]
    size: ViewportSize = {"width": 2 * width + 3 * gap, "height": height + 2 * gap}
    page = await browser.new_page(viewport=size, device_scale_factor=SIDE["device_scale_factor"])
    images = "".join(f'<img src="data:image/png;base64,{picture}">' for picture in pictures)
    await page.set_content(
        f"""<style>body {{ margin: 0; padding: {gap}px; display: flex; gap: {gap}px; background: #e7e9ee; }}
        img {{ width: {width}px; border-radius: 12px; box-shadow: 0 0 0 1px #c9ced6; }}</style>{images}"""
    )
    await page.screenshot(path=FOLDER / "chat.png")
    await page.close()


async def join_form(browser: Browser, guests: ChatServer) -> None:
    tab = await new_tab(browser, guests.url(""), {**WIDE, "viewport": {"width": 620, "height": 560}})
    await tab.visit("garden")
    await tab.page.get_by_label("Name", exact=True).fill("Ada")
    await tab.page.screenshot(path=FOLDER / "join.png")


async def busy_room(browser: Browser, chat: ChatServer, room: str, name: str, options: dict[str, Any]) -> None:
    ann = await new_tab(browser, chat.url(""), options)
    await visit_other_rooms(ann)
    async with (
        speaker(chat, room, "Bob%20Rivera") as bob,
        speaker(chat, room, "Cleo") as cleo,
        speaker(chat, room, "Mia") as mia,
    ):
        await bob.say("Morning! The notes for today are at https://example.org/notes/41.")
        await cleo.say(
            "Read them. Two questions:", "1. Do we still keep `history` for a day?\n2. Who restarts the workers?"
        )
        await go_to(ann, room)
        await send(ann, "A day, yes. And nobody has to: restart them whenever you like, the page finds its way back.")
        await bob.say(
            "```\n$ chat serve --workers 3 --broker-url redis://127.0.0.1:6379/0\n```\nThree workers, one order."
        )
        await mia.say("Tried it with the network cable in my hand 🔌")
        await cleo.say("👏")
        await send(ann, "Then let’s ship it.")
        await cleo.send(type="typing")
        await ann.page.get_by_text("Cleo is typing…").wait_for()
        await ann.page.mouse.move(0, 0)
        await picture(ann.page, name)


async def broken_connection(browser: Browser, chat: ChatServer) -> None:
    async with TcpProxy(chat.port) as way, speaker(chat, "platform-9", "Grace") as grace:
        ada = await new_tab(browser, f"http://127.0.0.1:{way.port}", WIDE)
        await visit_other_rooms(ada)
        await go_to(ada, "platform-9")
        await grace.say("The train is in the tunnel now, isn’t it?")
        await send(ada, "Yes, any moment.")
        await way.refuse()
        way.reset()
        await ada.is_in_state("waiting")
        await ada.say("Can you still read this?")
        await ada.say("I will be there at nine.")
        await ada.banner.wait_for()
        await picture(ada.page, "disconnected")


async def visit_other_rooms(tab: Tab) -> None:
    await tab.join("garden", "Ann Berg")
    for room in ("lunch", "support"):
        await go_to(tab, room)


async def go_to(tab: Tab, room: str) -> None:
    await tab.page.evaluate(
        "room => { history.pushState(null, '', `/?room=${room}`); dispatchEvent(new Event('popstate')); }", room
    )
    await tab.page.get_by_role("heading", level=1, name=re.compile(f"# {room}$")).wait_for()
    await tab.is_live()


async def send(tab: Tab, text: str) -> None:
    await tab.box.fill(text)
    await tab.page.get_by_role("button", name="Send").click()
    await tab.hears(text)


async def picture(page: Page, name: str) -> None:
    await page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
