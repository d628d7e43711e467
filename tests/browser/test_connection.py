"""A connection that breaks heals by itself, and nothing said is lost or doubled."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import People, Tab, speaker
from tests.servers import ChatServer, RedisServer, TcpProxy

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


async def test_what_was_missed_is_there_after_a_broken_connection(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.join(room, "Ann")
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("one")
        await ann.hears("one")
        await proxy.refuse()
        proxy.reset()
        await ann.is_in_state("waiting")
        await bob.say("two", "three")
        await proxy.accept()
        await ann.is_live()
        assert await ann.texts() == ["one", "two", "three"]
    await expect(ann.lines("marker")).to_have_count(1)
    await expect(ann.page.get_by_role("status")).to_contain_text("2 messages while you were away")


async def test_what_the_server_no_longer_keeps_is_said_to_be_missing(people: People, room: str) -> None:
    async with ChatServer(CHAT_HISTORY_SIZE="5") as forgetful, TcpProxy(forgetful.port) as way:
        ann = await people.tab(f"http://127.0.0.1:{way.port}")
        async with speaker(forgetful, room, "Bob") as bob:
            await bob.say("seen")
            await ann.join(room, "Ann")
            await ann.hears("seen")
            await way.refuse()
            way.reset()
            await ann.is_in_state("waiting")
            await bob.say(*(f"missed {number}" for number in range(20)))
            await way.accept()
            await ann.hears("missed 19")
        await expect(ann.lines("gap")).to_have_text("15 messages in between are no longer kept")
        assert await ann.texts() == ["seen", *(f"missed {number}" for number in range(15, 20))]


async def test_a_server_that_forgot_everything_is_no_reason_to_forget_what_was_said(people: People, room: str) -> None:
    async with ChatServer() as chat:
        ann = await people.tab(chat.url(""))
        await ann.join(room, "Ann")
        await ann.say("before")
        await ann.hears("before")
        await chat.kill()
        await chat.start()
        await ann.is_in_state("live")
        await ann.say("after")
        await ann.hears("after")
        await expect(ann.lines("gap")).to_have_text("The room began anew here")
        assert await ann.texts() == ["before", "after"]


async def test_a_broker_that_is_away_delays_messages_and_loses_none(people: People, room: str) -> None:
    async with RedisServer() as redis, ChatServer(CHAT_BROKER_URL=redis.url) as chat:
        ann, bob = [await people.tab(chat.url("")) for _ in range(2)]
        await ann.join(room, "Ann")
        await bob.join(room, "Bob")
        connection = await ann.connection()
        redis.pause()
        await ann.say("meanwhile")
        await expect(ann.banner).to_contain_text("Messages from others may be delayed.")
        await expect(ann.row("meanwhile")).not_to_have_attribute("data-state", "sent")
        redis.resume()
        for tab in (ann, bob):
            await tab.hears("meanwhile")
        await expect(ann.banner).to_be_hidden()
        assert await ann.connection() == connection


async def test_a_frozen_path_is_noticed_after_a_wake_and_left_behind(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.join(room, "Ann")
    connection = await ann.connection()
    proxy.freeze()
    await wake(ann)
    await expect(ann.root).not_to_have_attribute("data-state", "live", timeout=5_000)
    proxy.thaw()
    await wake(ann)
    await ann.is_live()
    assert await ann.connection() != connection


async def test_a_message_said_while_disconnected_waits_and_survives_a_reload(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.join(room, "Ann")
    await proxy.refuse()
    proxy.reset()
    await ann.is_in_state("waiting")
    await ann.say("kept")
    await expect(ann.row("kept").get_by_text("Waiting to be sent…")).to_be_visible()
    await proxy.accept()
    await ann.page.reload()
    await ann.hears("kept")


async def test_a_slow_path_shows_what_is_on_its_way(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.join(room, "Ann")
    proxy.delay = 0.4
    await ann.say("slowly")
    await expect(ann.row("slowly")).to_have_attribute("data-state", "sending")
    await expect(ann.row("slowly").get_by_text("Sending…")).to_be_visible()
    await ann.hears("slowly")


async def test_after_five_seconds_a_banner_offers_to_try_now(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.page.clock.install()
    await ann.join(room, "Ann")
    await proxy.refuse()
    proxy.reset()
    await expect(ann.chip).to_contain_text("Reconnecting…")
    await expect(ann.banner).to_be_hidden()
    await ann.page.clock.fast_forward(6_000)
    await expect(ann.banner).to_contain_text("Connection lost.")
    await expect(ann.page.get_by_role("alert")).to_contain_text("Connection lost.")
    await proxy.accept()
    await ann.banner.get_by_role("button", name="Try now").click()
    await ann.is_live()
    await expect(ann.banner).to_be_hidden()


async def test_a_lost_acknowledgement_makes_no_second_message(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    lost = await break_connection_at_first_ack(ann.page)
    await ann.join(room, "Ann")
    await ann.say("only once")
    await ann.hears("only once")
    await ann.say("and on")
    await ann.hears("and on")
    assert await ann.texts() == ["only once", "and on"]
    assert len(lost) == 1


@pytest.mark.parametrize(
    ("code", "state", "sentence"),
    [
        (4403, "refused", "You don’t have access to #"),
        (4408, "too-many-tabs", "is open in too many tabs."),
    ],
)
async def test_a_refusal_says_what_to_do(
    people: People, chat: ChatServer, room: str, code: int, state: str, sentence: str
) -> None:
    ann = await people.tab(chat.url(""))

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=code)

    await ann.page.route_web_socket("**/ws?*", refuse)
    await ann.visit(room)
    await ann.page.get_by_label("Name", exact=True).fill("Ann")
    await ann.page.get_by_role("button", name="Join room").click()
    await ann.is_in_state(state)
    await expect(ann.banner).to_contain_text(sentence)


async def test_who_is_let_in_nowhere_is_back_at_the_form_with_a_sentence(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.page.route_web_socket("**/ws?*", lambda socket: socket.close(code=4401))
    await ann.visit(room)
    await ann.page.get_by_label("Name", exact=True).fill("Ann")
    await ann.page.get_by_role("button", name="Join room").click()
    await expect(ann.page.get_by_text("This server asks for a token.")).to_be_visible()
    await expect(ann.page.get_by_label("Room", exact=True)).to_have_value(room)
    await expect(ann.page.get_by_label("Name", exact=True)).to_have_value("Ann")


async def test_when_only_the_chat_does_not_get_through_that_is_said(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.page.clock.install()
    await ann.page.route_web_socket("**/ws?*", lambda socket: socket.close(code=1011))
    await ann.visit(room)
    await ann.page.get_by_label("Name", exact=True).fill("Ann")
    await ann.page.get_by_role("button", name="Join room").click()
    await ann.is_in_state("waiting")
    await ann.page.clock.run_for(9_000)
    await expect(ann.banner).to_contain_text("something on the way, such as a proxy, lets no chat through.")


async def test_being_offline_is_said_and_nothing_is_lost(people: People, chat: ChatServer, room: str) -> None:
    context = await people.context()
    ann = await people.tab(chat.url(""), context)
    await ann.join(room, "Ann")
    await context.set_offline(True)
    await expect(ann.chip).to_contain_text("You’re offline", timeout=20_000)
    await ann.say("from the tunnel")
    await context.set_offline(False)
    await ann.hears("from the tunnel")
    await ann.is_live()


async def test_fifty_reconnects_leave_nothing_behind(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.page.clock.install()
    await ann.join(room, "Ann")
    await ann.say("still here")
    await ann.hears("still here")
    sizes = []
    for rounds in (5, 45):
        for _ in range(rounds):
            proxy.reset()
            await ann.is_in_state("waiting")
            await ann.page.clock.fast_forward(31_000)
            await ann.is_live()
        sizes.append(await size_of(ann.page))
    assert await ann.texts() == ["still here"]
    early, late = sizes
    assert late["Nodes"] <= early["Nodes"] + 20
    assert late["JSEventListeners"] <= early["JSEventListeners"] + 5
    assert late["JSHeapUsedSize"] <= early["JSHeapUsedSize"] * 1.25


async def wake(tab: Tab) -> None:
    await tab.page.evaluate("dispatchEvent(new Event('online'))")


async def break_connection_at_first_ack(page: Page) -> list[str]:
    """Returns the list in which the lost acknowledgement will be."""
    lost: list[str] = []

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        async def forward(frame: str | bytes) -> None:
            event = json.loads(frame)
            if event["type"] == "ack" and not lost:
                lost.append(event["id"])
                await socket.close(code=1012)
            else:
                socket.send(frame)

        server.on_message(forward)

    await page.route_web_socket("**/ws?*", connect)
    return lost


async def size_of(page: Page) -> dict[str, float]:
    """How much the page holds, after everything that can go is gone."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")
    await devtools.send("HeapProfiler.enable")
    for _ in range(2):
        await devtools.send("HeapProfiler.collectGarbage")
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    await devtools.detach()
    return {metric["name"]: metric["value"] for metric in metrics}
