"""Every example does what it says, started as it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers import PATIENCE, ROOT, ChatServer, Process, RedisServer, free_port, until

SPECIFICATION = ROOT / "docs" / "protocol.md"
WORKERS = 2


class Example(Process):
    """One of the apps in examples/, run by uvicorn in two processes."""

    def __init__(self, name: str, redis: RedisServer, prefix: str, *options: str) -> None:
        super().__init__()
        self.port = free_port()
        where = ("--port", str(self.port), "--workers", str(WORKERS), *options)
        self._command = (sys.executable, "-m", "uvicorn", f"examples.{name}:app", *where)
        self._env = {**os.environ, "CHAT_BROKER_URL": redis.url, "CHAT_BROKER_PREFIX": prefix}

    async def __aenter__(self) -> Example:
        self.launch(*self._command, env=self._env)
        await until(lambda: self.log.count("startup complete") == WORKERS, "the example has started", told=self)
        return self

    def ws(self, path: str, **options: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}{path}", **{"proxy": None, **options})

    async def post(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            return await client.post(f"http://127.0.0.1:{self.port}{path}")


async def hear(socket: ClientConnection) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await socket.recv()


async def event(socket: ClientConnection, type: str) -> Any:
    while (event := json.loads(await hear(socket)))["type"] != type:
        pass
    return event


async def test_raw_chat_reaches_everybody_whichever_process_they_are_on(shared_redis: RedisServer, prefix: str) -> None:
    """Six members are on two processes with a probability of 97 %; all of them hear everything."""
    async with Example("raw_chat", shared_redis, prefix) as app:
        async with app.ws("/ws/1") as first:
            others = [await app.ws(f"/ws/{number}") for number in range(2, 7)]
            await first.send("Hello")
            for other in others:
                assert await hear(other) == "Client #1 says: Hello"
            assert {await hear(first), await hear(first)} == {"You wrote: Hello", "Client #1 says: Hello"}
        for other in others:
            assert await hear(other) == "Client #1 left the chat"
            await other.close()


async def test_notifications_come_from_a_route_and_from_a_background_job(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with Example("notifications", shared_redis, prefix) as app:
        assert (await app.post("/orders/16/ship?customer=ada")).json() == {"offset": 1}
        async with app.ws("/notifications?token=token-of-ada") as ada:
            assert json.loads(await hear(ada)) == {"event": "shipped", "order": 16}
            assert (await app.post("/orders/17/ship?customer=ada")).json() == {"offset": 2}
            assert (await app.post("/orders/17/ship?customer=ada")).json() == {"offset": 2}
            assert (await app.post("/orders/17/ship?customer=bob")).json() == {"offset": 1}
            assert (await app.post("/orders/17/invoice?customer=ada")).status_code == 202
            assert json.loads(await hear(ada)) == {"event": "shipped", "order": 17}
            assert json.loads(await hear(ada)) == {"event": "invoiced", "order": 17}
        with pytest.raises(InvalidStatus, match="403"):
            await app.ws("/notifications?token=wrong")


async def test_full_protocol_lets_in_whom_its_own_rules_let_in(shared_redis: RedisServer, prefix: str) -> None:
    v1 = {"subprotocols": ["chat.v1"]}
    async with Example("full_protocol", shared_redis, prefix, "--ws", "chat.server:ChatProtocol") as app:
        async with app.ws("/rooms/lobby?token=key-of-ada", **v1) as ada:
            assert (await event(ada, "welcome"))["user"] == {"id": "1", "name": "Ada"}
            await ada.send('{"type":"publish","id":"one","text":"Hello"}')
            assert (await event(ada, "ack"))["offset"] == 1
        epoch = await resume_point(app)
        async with app.ws(f"/rooms/lobby?token=key-of-bob&since={epoch}:0", **v1) as bob:
            assert (await event(bob, "welcome"))["recovered"]
            assert (await event(bob, "message"))["text"] == "Hello"
        for path, status in [
            ("ops?token=key-of-bob", 403),
            ("ops?token=no", 401),
            ("ops?token=key-of-ada&since=x", 422),
        ]:
            with pytest.raises(InvalidStatus, match=str(status)):
                await app.ws(f"/rooms/{path}", **v1)
        async with app.ws("/rooms/ops?token=key-of-bob", origin="https://chat.example.org", **v1) as browser:
            with pytest.raises(ConnectionClosed):
                await hear(browser)
            assert (browser.close_code, browser.close_reason) == (4403, "this room is not open to you")


async def resume_point(app: Example) -> str:
    async with app.ws("/rooms/lobby?token=key-of-bob", subprotocols=["chat.v1"]) as socket:
        return str((await event(socket, "welcome"))["epoch"])


@asynccontextmanager
async def terminal(server: ChatServer, room: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The Python client, as it is started in a terminal."""
    url = server.ws_url(f"/items/{room}/ws")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.client", url, "--token", f"secret-of-{name}", "--name", name),
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def say(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def shown(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    """Read what is shown up to a line that is, or begins with, `wanted`."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while not (lines and lines[-1].startswith(wanted)):
            line = await process.stdout.readline()
            assert line, f"it ended without {wanted!r}, after {lines}"
            lines.append(line.decode().rstrip("\n"))
    return lines


async def test_the_python_client_comes_back_and_says_everything_once(shared_redis: RedisServer, prefix: str) -> None:
    """What is typed while the server is away is said when it is back, and heard once."""
    async with (
        ChatServer(CHAT_BROKER_URL=shared_redis.url, CHAT_BROKER_PREFIX=prefix) as server,
        terminal(server, "r", "Ada") as ada,
        terminal(server, "r", "Bob") as bob,
    ):
        await shown(ada, "-- r:")
        await shown(bob, "-- r:")
        await say(ada, "one")
        await shown(bob, "Ada: one")
        await server.terminate()
        await shown(ada, "-- away")
        await say(ada, "two")
        await server.start()
        await shown(bob, "Ada: two")
        await say(ada, "three")
        assert await shown(bob, "Ada: three") == ["Ada: three"]
        assert ada.stdin is not None
        ada.stdin.close()
        assert await asyncio.wait_for(ada.wait(), PATIENCE) == 0


async def test_the_python_client_gives_up_where_it_is_not_wanted() -> None:
    async with ChatServer() as server, terminal(server, "not%20a%20room", "Ada") as ada:
        assert await asyncio.wait_for(ada.wait(), PATIENCE) == 1


async def test_the_javascript_client_of_the_documentation_comes_back_too() -> None:
    """The one in docs/protocol.md, in a browser."""
    (source,) = re.findall(r"```js\n(.*?)```", SPECIFICATION.read_text(), re.DOTALL)
    async with ChatServer() as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(server.url("/healthz"))
        await page.evaluate(
            """async ([source, address]) => {
                const { join } = await import("data:text/javascript," + encodeURIComponent(source));
                globalThis.events = [];
                globalThis.room = join(address, (event) => events.push(event));
            }""",
            [source, server.ws_url("/items/r/ws?token=secret-of-ada")],
        )
        await page.wait_for_function("events.some((event) => event.type === 'welcome')")
        await page.evaluate("room.say('one')")
        await page.wait_for_function("events.some((event) => event.text === 'one')")
        await server.terminate()
        await page.evaluate("room.say('two')")
        await server.start()
        await page.wait_for_function("events.some((event) => event.text === 'two')")
        assert await page.evaluate("events.filter((event) => event.text === 'two').length") == 1
        await browser.close()
