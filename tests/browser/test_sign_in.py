"""Who one is on the page: a guest of the tab, a guest of the browser, or whom a token or a cookie says."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, Request, Route, WebSocket, expect

from tests.browser.conftest import SECRET, People, Tab
from tests.servers import ChatServer, TcpProxy

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict() -> AsyncIterator[ChatServer]:
    """A service that lets in only who has a token."""
    async with ChatServer(CHAT_SECRET_KEY=SECRET) as server:
        yield server


def token_of(name: str, *, lasts: float = 600, **claims: Any) -> str:
    now = time.time()
    said = {"sub": f"user-{name}", "name": name, "iat": now, "exp": now + lasts, "jti": secrets.token_hex(4), **claims}
    return jwt.encode(said, SECRET)


async def sign_in(context: BrowserContext, chat: ChatServer, token: str) -> None:
    """As another page of the same site does it."""
    await context.add_cookies([{"name": "session", "value": token, "url": chat.url(""), "httpOnly": True}])


def name_field(tab: Tab) -> Locator:
    return tab.page.get_by_label("Name", exact=True)


def token_field(tab: Tab) -> Locator:
    return tab.page.get_by_label("Token", exact=True)


async def press_join(tab: Tab) -> None:
    await tab.to_front()
    await tab.page.get_by_role("button", name="Join room").click()


async def press_in_menu(tab: Tab, choice: str) -> None:
    await tab.to_front()
    await tab.page.get_by_role("button", name="Menu").click()
    await tab.page.get_by_role("dialog", name="Menu").get_by_role("button", name=choice).click()


async def revoke(chat: ChatServer, token: str) -> None:
    """End what was opened with it, and let nobody in with it any more."""
    id = jwt.decode(token, options={"verify_signature": False})["jti"]
    authorization = {"Authorization": f"Bearer {token_of('root', admin=True)}"}
    async with chat.http() as http:
        answer = await http.post("/revocations", json={"token": id}, headers=authorization)
        assert answer.status_code == 204


async def test_a_name_is_enough_for_a_guest_and_the_browser_remembers(
    people: People, guests: ChatServer, room: str
) -> None:
    context = await people.context()
    here, there = [await people.tab(guests.url(""), context) for _ in range(2)]
    bob = await people.tab(guests.url(""))
    await here.join(room, "Ann")
    await there.visit(room)
    await expect(there.page.get_by_text("Signed in as Ann")).to_be_visible()
    await expect(name_field(there)).to_be_hidden()
    await expect(token_field(there)).to_be_hidden()
    await press_join(there)
    await there.is_live()
    await bob.join(room, "Bob")
    await here.say("one person, two tabs")
    await expect(there.row("one person, two tabs").get_by_text("You", exact=True)).to_be_visible()
    await expect(bob.row("one person, two tabs").get_by_text("Ann", exact=True)).to_be_visible()


async def test_where_guests_are_not_let_in_a_token_is_asked_for_and_kept_out_of_sight(
    people: People, strict: ChatServer, room: str
) -> None:
    ann = await people.tab(strict.url(""))
    addresses: list[str] = []

    def remember(opened: Request | WebSocket) -> None:
        addresses.append(opened.url)

    ann.page.on("websocket", remember)
    ann.page.on("request", remember)
    token = token_of("Ann")
    await ann.visit(room)
    await expect(name_field(ann)).to_be_hidden()
    await press_join(ann)
    await expect(token_field(ann)).to_have_accessible_description(re.compile("^Enter a token, or sign in first."))
    await token_field(ann).fill("nonsense")
    await press_join(ann)
    await expect(ann.page.get_by_text("This token is not valid, or it has expired.")).to_be_visible()
    await expect(token_field(ann)).to_be_focused()
    await expect(token_field(ann)).to_have_value("nonsense")
    await token_field(ann).fill(token)
    await press_join(ann)
    await ann.is_live()
    await expect(ann.chip).to_have_text("Connected as Ann")
    kept = await ann.page.evaluate("JSON.stringify([location.href, {...localStorage}, {...sessionStorage}])")
    assert token not in kept
    assert [address for address in addresses if token in address] == []
    assert any("/ws" in address for address in addresses)


async def test_a_browser_that_is_signed_in_joins_as_that_person(people: People, strict: ChatServer, room: str) -> None:
    context = await people.context()
    await sign_in(context, strict, token_of("Ada"))
    ada = await people.tab(strict.url(""), context)
    await ada.visit(room)
    await expect(ada.page.get_by_text("Signed in as Ada")).to_be_visible()
    await ada.page.keyboard.press("Enter")  # nothing is left to be filled in
    await ada.is_live()
    await ada.page.reload()
    await ada.is_live()
    await expect(ada.chip).to_have_text("Connected as Ada")


async def test_signing_out_ends_it_in_all_tabs_and_leaves_nothing_to_the_next(
    people: People, strict: ChatServer, room: str
) -> None:
    async with TcpProxy(strict.port) as way:
        context = await people.context()
        await sign_in(context, strict, token_of("Ada"))
        here, there = [await people.tab(f"http://127.0.0.1:{way.port}", context) for _ in range(2)]
        for tab in (here, there):
            await tab.visit(room)
            await press_join(tab)
            await tab.is_live()
        await here.page.route_web_socket("**/ws*", lambda socket: None)  # from now on nothing gets through
        way.reset()
        await here.say("nobody else's business")
        await press_in_menu(here, "Sign out")
        await expect(here.page.get_by_text("You are signed out.")).to_be_visible()
        await expect(there.page.get_by_text("You signed out in another tab.")).to_be_visible()
        for tab in (here, there):
            await expect(token_field(tab)).to_be_visible()
            await expect(tab.page.get_by_label("Room", exact=True)).to_have_value(room)
        assert await context.cookies() == []
        assert "nobody" not in await here.page.evaluate("JSON.stringify({...sessionStorage})")


async def test_when_somebody_else_signs_in_the_other_tabs_say_so(people: People, strict: ChatServer, room: str) -> None:
    context = await people.context()
    await sign_in(context, strict, token_of("Ada"))
    here, there = [await people.tab(strict.url(""), context) for _ in range(2)]
    await here.visit(room)
    await press_join(here)
    await here.is_live()
    await there.visit(room)
    await there.page.locator("#join-form summary").click()
    await token_field(there).fill(token_of("Bob"))
    await press_join(there)
    await there.is_live()
    await expect(here.page.get_by_text("This browser is now signed in as Bob.")).to_be_visible()


async def test_who_is_signed_out_by_the_server_goes_on_with_a_new_token_where_they_were(
    people: People, strict: ChatServer, room: str
) -> None:
    context = await people.context()
    first = token_of("Ada")
    await sign_in(context, strict, first)
    ada = await people.tab(strict.url(""), context)
    await ada.visit(room)
    await press_join(ada)
    await ada.say("kept in sight")
    await ada.hears("kept in sight")
    await ada.box.fill("half a sen")
    await revoke(strict, first)
    dialog = ada.page.get_by_role("dialog", name="Your sign-in has expired")
    await expect(dialog.get_by_text("Enter a token to go on. What you wrote is kept.")).to_be_visible()
    await dialog.get_by_label("New token").fill(first)
    await dialog.get_by_role("button", name="Go on").click()
    await expect(dialog.get_by_text("This token is not valid, or it has expired.")).to_be_visible()
    await dialog.get_by_label("New token").fill(token_of("Ada"))
    await dialog.get_by_role("button", name="Go on").click()
    await ada.is_live()
    await expect(dialog).to_be_hidden()
    await ada.hears("kept in sight")
    await expect(ada.box).to_have_value("half a sen")


async def test_a_cookie_that_somebody_else_renewed_lets_one_go_on_unasked(
    people: People, strict: ChatServer, room: str
) -> None:
    context = await people.context()
    first = token_of("Ada")
    await sign_in(context, strict, first)
    ada = await people.tab(strict.url(""), context)
    await ada.visit(room)
    await press_join(ada)
    await ada.is_live()
    connection = await ada.connection()
    await sign_in(context, strict, token_of("Ada"))
    await revoke(strict, first)
    await expect(ada.root).not_to_have_attribute("data-connection", connection)
    await ada.is_live()
    await expect(ada.page.get_by_role("dialog")).to_have_count(0)


async def test_a_reload_after_the_end_of_a_session_asks_who_one_is(
    people: People, guests: ChatServer, room: str
) -> None:
    context = await people.context()
    ann = await people.tab(guests.url(""), context)
    await ann.join(room, "Ann")
    await context.clear_cookies()
    await ann.page.reload()
    await expect(ann.page.get_by_text("Your sign-in has expired. Enter a name to go on.")).to_be_visible()
    await expect(name_field(ann)).to_have_value("Ann")
    await press_join(ann)
    await ann.is_live()


async def test_a_guest_whose_time_runs_out_gets_more_of_it_unnoticed(
    people: People, guests: ChatServer, room: str
) -> None:
    context = await people.context()
    await sign_in(context, guests, token_of("Ann", sub="guest-ann", lasts=4))
    ann = await people.tab(guests.url(""), context)
    refreshed: list[dict[str, Any]] = []

    def listen(socket: WebSocket) -> None:
        def read(frame: str | bytes) -> None:
            event = json.loads(frame)
            if event["type"] == "ack" and "expires" in event:
                refreshed.append(event)

        socket.on("framereceived", read)

    ann.page.on("websocket", listen)
    await ann.visit(room)
    await press_join(ann)
    await ann.is_live()
    connection = await ann.connection()
    async with ann.page.expect_response("**/tokens") as made:
        pass
    assert (await made.value).status == 201
    await ann.say("still here")
    await ann.hears("still here")
    assert len(refreshed) == 1
    assert await ann.connection() == connection


async def test_a_token_without_the_right_to_write_says_so(people: People, strict: ChatServer, room: str) -> None:
    context = await people.context()
    await sign_in(context, strict, token_of("Ada", rooms={room: ["subscribe"]}))
    ada = await people.tab(strict.url(""), context)
    await ada.visit(room)
    await press_join(ada)
    await ada.is_live()
    await ada.say("not allowed")
    await expect(ada.row("not allowed")).to_contain_text("Not sent: you may read here, but not write.")
    await expect(ada.page.get_by_role("alert").filter(has_text="Message not sent")).to_be_attached()


async def test_a_room_that_the_token_is_not_for_is_refused_in_words(
    people: People, strict: ChatServer, room: str
) -> None:
    context = await people.context()
    await sign_in(context, strict, token_of("Ada", rooms=["tea:*"]))
    ada = await people.tab(strict.url(""), context)
    await ada.visit(room)
    await press_join(ada)
    await ada.is_in_state("refused")
    await expect(ada.banner).to_contain_text(f"You don’t have access to #{room}.")
    await expect(ada.banner.get_by_role("button", name="Choose another room")).to_be_visible()


async def test_a_server_that_cannot_be_reached_is_said_and_what_was_typed_stays(
    people: People, strict: ChatServer, room: str
) -> None:
    ann = await people.tab(strict.url(""))
    await ann.visit(room)
    await ann.page.route("**/session", lambda route: route.abort())
    await token_field(ann).fill("typed")
    await press_join(ann)
    await expect(ann.page.get_by_role("alert").get_by_text("The server can’t be reached.")).to_be_visible()
    await expect(token_field(ann)).to_have_value("typed")
    await expect(ann.page.get_by_role("button", name="Join room")).to_have_attribute("aria-disabled", "false")


async def test_a_page_older_than_the_server_offers_to_reload(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.page.clock.install()
    await ann.join(room, "Ann")

    async def newer(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json={**await answer.json(), "version": "99.0.0"})

    await ann.page.route("**/session", newer)
    proxy.reset()
    await ann.is_in_state("waiting")
    await ann.page.clock.fast_forward(2_000)
    await ann.is_live()
    await expect(ann.banner).to_be_hidden()
    await ann.page.clock.fast_forward(11_000)
    await expect(ann.banner).to_contain_text("This page is out of date.")
    await ann.box.fill("kept")
    await ann.page.unroute("**/session")
    await ann.banner.get_by_role("button", name="Reload").click()
    await ann.is_live()
    await expect(ann.banner).to_be_hidden()
    await expect(ann.box).to_have_value("kept")


async def test_two_tabs_of_an_open_server_are_two_people_without_signing_in(
    people: People, chat: ChatServer, room: str
) -> None:
    context = await people.context()
    ann, bob = [await people.tab(chat.url(""), context) for _ in range(2)]
    await ann.join(room, "Ann")
    await bob.join(room, "Bob")
    await expect(ann.page.get_by_role("complementary", name="People").locator(".who")).to_have_text(
        ["Ann (you)", "Bob"]
    )
    assert await context.cookies() == []


async def test_a_token_that_no_header_can_carry_still_serves(people: People, chat: ChatServer, room: str) -> None:
    """Any word is a token where the server is open, also one that has to go by the address."""
    ann = await people.tab(chat.url(""))
    await ann.visit(room)
    await name_field(ann).fill("Ann")
    await ann.page.locator("#join-form summary").click()
    await token_field(ann).fill("schlüssel/wort=")
    await press_join(ann)
    await ann.is_live()
    await ann.say("in")
    await ann.hears("in")
