"""Who is here and who types; and one person with several tabs and rooms."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import People, Tab, speaker
from tests.servers import ChatServer, TcpProxy, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def listed(tab: Tab) -> Locator:
    return tab.page.get_by_role("complementary", name="People").get_by_role("listitem").locator(".who")


async def test_people_are_listed_and_their_coming_and_going_is_one_quiet_line(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await expect(listed(ann)).to_have_text(["Ann (you)"])
    async with speaker(chat, room, "Bob"), speaker(chat, room, "Cleo"):
        await expect(listed(ann)).to_have_text(["Ann (you)", "Bob", "Cleo"])
        await expect(ann.page.get_by_role("heading", name="People (3)")).to_be_visible()
        await expect(ann.lines("notice")).to_have_text(re.compile("^(Bob and Cleo|Cleo and Bob) joined$"))
        async with speaker(chat, room, "Bob"):
            pass  # a second connection of the same person is no news
        await ann.say("hello both")
        await ann.hears("hello both")
    await expect(listed(ann)).to_have_text(["Ann (you)"])
    await expect(ann.lines("notice").last).to_have_text(re.compile("^(Bob and Cleo|Cleo and Bob) left$"))


async def test_a_reload_is_no_leave(people: People, chat: ChatServer, room: str) -> None:
    ann, bob = [await people.tab(chat.url("")) for _ in range(2)]
    await ann.join(room, "Ann")
    await bob.join(room, "Bob")
    await expect(listed(ann)).to_have_text(["Ann (you)", "Bob"])
    await bob.page.reload()
    await bob.is_live()
    await bob.say("back")
    await ann.hears("back")
    await expect(ann.lines("notice")).to_have_text("Bob joined")


async def test_typing_is_shown_until_the_message_comes(people: People, chat: ChatServer, room: str) -> None:
    ann, bob = [await people.tab(chat.url("")) for _ in range(2)]
    await ann.join(room, "Ann")
    await bob.join(room, "Bob")
    place = await ann.box.bounding_box()
    await bob.box.press_sequentially("hi")
    await expect(ann.page.get_by_text("Bob is typing…")).to_be_visible()
    assert await ann.box.bounding_box() == place
    await expect(bob.page.get_by_text("Bob is typing…")).to_be_hidden()
    await bob.box.press("Enter")
    await ann.hears("hi")
    await expect(ann.page.get_by_text("Bob is typing…")).to_be_hidden()


async def test_while_disconnected_the_list_says_how_old_it_is(
    people: People, chat: ChatServer, room: str, proxy: TcpProxy
) -> None:
    ann = await people.tab(f"http://127.0.0.1:{proxy.port}")
    await ann.join(room, "Ann")
    await proxy.refuse()
    proxy.reset()
    await expect(ann.page.get_by_role("complementary", name="People")).to_contain_text("As of")
    await proxy.accept()
    await ann.is_live()
    await expect(ann.page.get_by_role("complementary", name="People")).not_to_contain_text("As of")


async def join_by_token(tab: Tab, room: str, token: str) -> None:
    await tab.visit(room)
    await tab.page.get_by_label("Name", exact=True).fill("Ann")
    await tab.page.locator("#join-form summary").click()
    await tab.page.get_by_label("Token", exact=True).fill(token)
    await tab.page.get_by_role("button", name="Join room").click()
    await tab.is_live()


async def test_two_tabs_with_one_token_are_one_person(people: People, chat: ChatServer, room: str) -> None:
    context = await people.context()
    here, there = [await people.tab(chat.url(""), context) for _ in range(2)]
    for tab in (here, there):
        await join_by_token(tab, room, "the-token-of-ann")
        assert "the-token-of-ann" not in tab.page.url
    await here.say("from here")
    await there.hears("from here")
    await expect(there.row("from here").get_by_text("You", exact=True)).to_be_visible()
    await expect(listed(there)).to_have_text(["Ann (you)"])
    kept = await here.page.evaluate("JSON.stringify(localStorage)")
    assert "the-token-of-ann" not in kept


async def test_what_one_tab_has_read_is_not_unread_in_another(people: People, chat: ChatServer, room: str) -> None:
    context = await people.context()
    here, there = [await people.tab(chat.url(""), context) for _ in range(2)]
    for tab in (here, there):
        await join_by_token(tab, room, "token-of-a-reader")
    for tab in (here, there):
        await tab.hide()
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("look")
    for tab in (here, there):
        await expect(tab.page).to_have_title(f"(1) #{room} – Broadcaster")
    await here.show()
    for tab in (here, there):
        await expect(tab.page).to_have_title(f"#{room} – Broadcaster")


async def test_a_hidden_tab_notifies_if_asked_to_and_only_one_of_them(
    people: People, chat: ChatServer, room: str
) -> None:
    context = await people.context()
    await context.add_init_script(
        """window.notified = [];
        window.Notification = class extends EventTarget {
            static permission = "granted";
            static requestPermission = async () => "granted";
            constructor(title, {body}) { super(); notified.push(`${title}: ${body}`); }
        };"""
    )
    tabs = [await people.tab(chat.url(""), context) for _ in range(2)]
    for tab in tabs:
        await tab.join(room, "Ann")
    await tabs[0].to_front()
    await tabs[0].page.get_by_role("button", name="Menu").click()
    await tabs[0].page.get_by_role("checkbox", name="Notify me").check()
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("while you look")
        for tab in tabs:
            await tab.hears("while you look")
            await tab.hide()
        await bob.say("while you are away")
        for tab in tabs:
            await tab.hears("while you are away")
    notified = [text for tab in tabs for text in await tab.page.evaluate("notified")]
    assert notified == [f"Bob in #{room}: while you are away"]


async def test_a_hidden_tab_makes_a_sound_if_asked_to_and_only_one_of_them(
    people: People, chat: ChatServer, room: str
) -> None:
    context = await people.context()
    await context.add_init_script(
        """window.tones = 0;
        window.AudioContext = class { state = "running"; currentTime = 0; destination = {}; };
        window.GainNode = class {
            gain = {setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {}};
            connect(next) { return next; }
        };
        window.OscillatorNode = class { connect(next) { return next; } start() { tones += 1; } stop() {} };"""
    )
    tabs = [await people.tab(chat.url(""), context) for _ in range(2)]
    for tab in tabs:
        await tab.page.clock.install()
        await tab.join(room, "Ann")
    await tabs[0].to_front()
    await tabs[0].page.get_by_role("button", name="Menu").click()
    await tabs[0].page.get_by_role("checkbox", name="Play a sound").check()
    await until(lambda: makes_tones(tabs[0], 2), "one hears what it is")
    for tab in tabs:
        await tab.box.press("Tab")
        await tab.page.clock.fast_forward(3_000)
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("while you look")
        for tab in tabs:
            await tab.hears("while you look")
            await tab.hide()
        await bob.say("while you are away", "and at once again")
        for tab in tabs:
            await tab.page.clock.fast_forward(300)
            await tab.hears("and at once again")
    assert sum([await tab.page.evaluate("tones") for tab in tabs]) == 4


async def makes_tones(tab: Tab, number: int) -> bool:
    made: bool = await tab.page.evaluate("number => tones === number", number)
    return made


async def test_rooms_i_was_in_are_one_click_away(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.say("in the first")
    await ann.hears("in the first")
    rooms = ann.page.get_by_role("navigation", name="Rooms")
    await rooms.get_by_label("Another room").fill(f"{room}-2")
    await rooms.get_by_role("button", name="Open").click()
    await expect(ann.page).to_have_title(f"#{room}-2 – Broadcaster")
    await ann.is_live()
    assert await ann.texts() == []
    await ann.page.go_back()
    await ann.hears("in the first")
    await expect(rooms.get_by_role("link", name=f"# {room}", exact=True)).to_have_attribute("aria-current", "page")
    assert ann.page.url.endswith(f"/?room={room}")


async def test_other_rooms_tell_how_much_is_unread(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    rooms = ann.page.get_by_role("navigation", name="Rooms")
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("read")
        await ann.join(room, "Ann")
        await ann.hears("read")
        await rooms.get_by_label("Another room").fill(f"{room}-2")
        await rooms.get_by_label("Another room").press("Enter")
        await expect(ann.page).to_have_title(f"#{room}-2 – Broadcaster")
        await bob.say("unread 1", "unread 2")
    await ann.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await rooms.get_by_role("link", name=f"# {room} , 2 unread").click()
    await ann.hears("unread 2")
    await expect(ann.lines("marker")).to_have_count(1)
    await expect(rooms.get_by_role("link", name=f"# {room}", exact=True)).to_be_visible()


async def test_leaving_leads_back_to_the_form_with_everything_filled_in(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.page.get_by_role("button", name="Menu").click()
    await ann.page.get_by_role("button", name="Leave this room").click()
    await expect(ann.page.get_by_label("Room", exact=True)).to_have_value(room)
    await expect(ann.page.get_by_label("Name", exact=True)).to_have_value("Ann")
    await expect(ann.root).to_have_attribute("data-state", "idle")


async def test_the_details_of_the_connection_can_be_seen(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.chip.click()
    details = ann.page.get_by_role("dialog", name="Connection details")
    await expect(details).to_contain_text(await ann.worker())
    await expect(details).to_contain_text(" ms")


async def test_a_link_to_the_room_can_be_handed_out(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""), permissions=["clipboard-read", "clipboard-write"])
    await ann.join(room, "Ann")
    await ann.page.get_by_role("button", name="Copy a link to this room").click()
    await expect(ann.page.get_by_role("status")).to_contain_text("Link copied")
    assert await ann.page.evaluate("navigator.clipboard.readText()") == f"{chat.url('')}/?room={room}"
