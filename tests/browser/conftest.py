"""People with browser tabs: real Chromium, real servers, and no error in any console."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright, expect
from websockets.asyncio.client import ClientConnection

from tests.servers import ChatServer, TcpProxy

expect.set_options(timeout=15_000)  # a machine that is busy with something else is no failure

SECRET = "the secret of the servers that ask for more than a name"

# What the browser itself reports when the network fails; the tests break it on purpose.
NETWORK_FAILURE = re.compile(r"WebSocket connection to .* failed|net::ERR_|Failed to load resource")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "the browser tests need Chromium, and there is no `chromium` on the path; try scripts/setup dev"
    async with async_playwright() as playwright:
        # Chromium's own sandbox refuses root, and a container's /dev/shm is too small for it.
        launched = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        async with launched:
            yield launched


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chat() -> AsyncIterator[ChatServer]:
    """A service with one worker, rooms in memory and no hurry, for all tests that do it no harm."""
    async with ChatServer(CHAT_RATE_LIMIT="0", CHAT_PRESENCE_GRACE="1") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guests() -> AsyncIterator[ChatServer]:
    """A service that lets in who has a token, and guests under a name."""
    async with ChatServer(CHAT_SECRET_KEY=SECRET, CHAT_GUESTS="true") as server:
        yield server


@pytest.fixture
def room() -> str:
    """A room of the test's own."""
    return f"room-{secrets.token_hex(4)}"


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(chat: ChatServer) -> AsyncIterator[TcpProxy]:
    """A way to the service that can be made bad."""
    async with TcpProxy(chat.port) as bad_way:
        yield bad_way


@asynccontextmanager
async def speaker(chat: ChatServer, room: str, name: str) -> AsyncIterator[Speaker]:
    """Somebody in a room who needs no browser."""
    path = f"/items/{room}/ws?token=token-of-{name}&name={name}"
    async with chat.ws(path, subprotocols=["chat.v1"]) as socket:
        yield Speaker(socket)


class Speaker:
    """Says things to a room, and waits until the server has them."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def say(self, *texts: str) -> None:
        ids = [secrets.token_hex(8) for _ in texts]
        for id, text in zip(ids, texts, strict=True):
            await self.send(type="publish", id=id, text=text)
        pending = set(ids)
        while pending:
            event = json.loads(await self._socket.recv())
            if event["type"] == "ack":
                pending.discard(event["id"])

    async def send(self, **command: Any) -> None:
        await self._socket.send(json.dumps(command))


class Tab:
    """One browser tab, and what a person does in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.root = page.locator("html")
        self.log = page.get_by_role("log")
        self.box = page.get_by_role("textbox", name=re.compile("^Message #"))
        self.chip = page.locator("#chip")
        self.banner = page.get_by_role("region", name="Connection")
        self.pill = page.locator("#pill")

    async def to_front(self) -> None:
        """A tab behind another one gets one animation frame a second, and a click in it waits for two."""
        await self.page.bring_to_front()

    async def visit(self, room: str) -> None:
        await self.to_front()
        await self.page.goto(f"{self.address}/?room={room}")

    async def join(self, room: str, name: str) -> None:
        await self.visit(room)
        await self.page.get_by_label("Name", exact=True).fill(name)
        await self.page.get_by_role("button", name="Join room").click()
        await self.is_live()

    async def is_live(self) -> None:
        await self.is_in_state("live")

    async def is_in_state(self, state: str) -> None:
        await expect(self.root).to_have_attribute("data-state", state, timeout=30_000)

    async def say(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")

    async def hears(self, text: str) -> None:
        """The message is in the log, once, and nothing about it is pending."""
        await expect(self.log.get_by_text(text, exact=True)).to_have_count(1)
        await expect(self.row(text)).to_have_attribute("data-state", "sent")

    def row(self, text: str) -> Locator:
        return self.log.get_by_role("listitem").filter(has=self.page.get_by_text(text, exact=True))

    async def texts(self) -> list[str]:
        """All messages in the log, from the oldest to the newest."""
        return await self.log.locator(".body").all_inner_texts()

    def lines(self, kind: str) -> Locator:
        """The rows of the log that are no messages: day, marker, notice, gap, edge."""
        return self.log.locator(f".row-{kind}")

    async def distance_from_bottom(self) -> float:
        distance: float = await self.log.evaluate("log => log.scrollHeight - log.clientHeight - log.scrollTop")
        return distance

    async def scroll_to(self, top: int) -> None:
        """Scroll the log, and wait until the page has noticed."""
        await self.log.evaluate(
            """async (log, top) => {
                log.scrollTo({top, behavior: "instant"});
                for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
            }""",
            top,
        )

    async def hide(self) -> None:
        """Headless Chromium shows every tab; the page is told otherwise."""
        await self._tell_hidden(True)

    async def show(self) -> None:
        await self._tell_hidden(False)

    async def _tell_hidden(self, hidden: bool) -> None:
        await self.page.evaluate(
            """(hidden) => {
                Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    async def connection(self) -> str:
        return await self.root.get_attribute("data-connection") or ""

    async def worker(self) -> str:
        return (await self.connection()).rpartition("-")[0]


class People:
    """Opens tabs, each a person of its own unless it shares a context, and collects what their consoles complain of."""

    def __init__(self, browser: Browser) -> None:
        self.complaints: list[str] = []
        self._browser = browser
        self._stack = AsyncExitStack()

    async def context(self, **options: Any) -> BrowserContext:
        context = await self._stack.enter_async_context(await self._browser.new_context(**options))
        context.on("weberror", lambda caught: self.complaints.append(f"uncaught: {caught.error}"))
        context.on("console", self._listen)
        return context

    async def tab(self, address: str, context: BrowserContext | None = None, **options: Any) -> Tab:
        context = context or await self.context(**options)
        return Tab(await context.new_page(), address)

    async def close(self) -> None:
        await self._stack.aclose()

    def _listen(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"} and not NETWORK_FAILURE.search(said.text):
            self.complaints.append(said.text)


@pytest_asyncio.fixture(loop_scope="session")
async def people(browser: Browser) -> AsyncIterator[People]:
    """Opens tabs; the test fails if any of their consoles holds an error or a warning."""
    everybody = People(browser)
    yield everybody
    await everybody.close()
    if everybody.complaints:
        pytest.fail("\n".join(["a console is not clean:", *everybody.complaints]))
