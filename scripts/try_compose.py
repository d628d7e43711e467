"""Two browser tabs on two workers of the compose project hear each other, also after a deploy and a killed Redis."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

ROOM = "try-compose"
TRIES = 60
STARTS_WITHIN = 300
HEALS_WITHIN_MS = 30_000

Compose = Callable[..., None]


def main() -> None:
    with started_project() as (url, compose), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # Chromium's own sandbox refuses root, and a container's /dev/shm is too small for it.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        with browser, browser.new_context() as context:
            page_errors = collect_page_errors(context)
            ada = open_tab(context, url, name="Ada")
            bob = open_tab_elsewhere(context, url, name="Bob", than=worker_of(ada))
            talk(ada, bob, "Hello from Ada")
            talk(bob, ada, "Hello from Bob")
            compose("restart", "chat")
            talk(ada, bob, "Still here after a deploy")
            compose("kill", "redis")
            compose("start", "redis")
            talk(bob, ada, "Still here after a killed Redis")
            if page_errors:
                raise SystemExit("\n".join(page_errors))


@contextmanager
def started_project() -> Iterator[tuple[str, Compose]]:
    """Build and start it, wait until it is healthy, yield its address and the command to it; leave nothing behind."""
    port = free_port()
    environment = os.environ | {"CHAT_PORT": str(port), "CHAT_WORKERS": "2"}
    project = ["docker", "compose", "--project-name", f"chat-try-{os.getpid()}"]

    def compose(*command: str, check: bool = True) -> None:
        subprocess.run([*project, *command], env=environment, check=check)

    up = ["up", "--build", "--detach", "--wait", "--wait-timeout", str(STARTS_WITHIN)]
    down = ["down", "--volumes", "--rmi", "local", "--remove-orphans"]
    try:
        compose(*up)
        yield f"http://127.0.0.1:{port}", compose
    except BaseException:
        # None of these may hide the error that led here.
        compose("ps", "--all", check=False)
        compose("logs", "--no-color", "--tail", "200", check=False)
        compose(*down, check=False)
        raise
    compose(*down)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def collect_page_errors(context: BrowserContext) -> list[str]:
    errors: list[str] = []
    context.on("weberror", lambda caught: errors.append(f"error in the page: {caught.error}"))
    return errors


def open_tab(context: BrowserContext, url: str, *, name: str) -> Page:
    """Open the room and join it as anybody would, through the form."""
    tab = context.new_page()
    tab.goto(f"{url}/?room={ROOM}")
    expect(tab.get_by_label("Room", exact=True)).to_have_value(ROOM)
    tab.get_by_label("Name", exact=True).fill(name)
    tab.get_by_role("button", name="Join room").click()
    expect(tab.locator("html")).to_have_attribute("data-connection", re.compile(r".-\d+$"))
    return tab


def open_tab_elsewhere(context: BrowserContext, url: str, *, name: str, than: str) -> Page:
    """Open tabs until one lands on another worker: which one accepts is up to the kernel."""
    for count in range(1, TRIES + 1):
        tab = open_tab(context, url, name=name)
        if worker_of(tab) != than:
            print(f"{name} is on worker {worker_of(tab)} at try {count}, the other on {than}")
            return tab
        tab.close()
    raise SystemExit(f"{TRIES} tabs were all on worker {than}")


def worker_of(tab: Page) -> str:
    connection = tab.locator("html").get_attribute("data-connection") or ""
    return connection.rpartition("-")[0]


def talk(speaker: Page, listener: Page, text: str) -> None:
    """Say it once; both see it once, without a reload."""
    speaker.get_by_label(re.compile("^Message #")).fill(text)
    speaker.get_by_role("button", name="Send").click()
    for who, tab in (("speaker", speaker), ("listener", listener)):
        expect(tab.get_by_role("log").get_by_text(text)).to_have_count(1, timeout=HEALS_WITHIN_MS)
        print(f"{text!r} is there once for the {who} on {tab.locator('html').get_attribute('data-connection')}")


if __name__ == "__main__":
    main()
