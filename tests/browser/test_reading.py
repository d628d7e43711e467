"""Reading is never disturbed, nothing runs that somebody wrote, and long rooms stay quick."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Error, expect

from tests.browser.conftest import People, Tab, speaker
from tests.servers import ChatServer, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_is_at_the_bottom_stays_there(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(60))
        await ann.join(room, "Ann")
        await ann.hears("line 59")
        assert await ann.distance_from_bottom() <= 1
        await bob.say("one more")
        await ann.hears("one more")
    assert await ann.distance_from_bottom() <= 1
    await ann.page.set_viewport_size({"width": 700, "height": 400})
    await until(lambda: at_bottom(ann), "the newest message stays in sight when the window shrinks")
    await ann.box.fill("a\nb\nc\nd\ne")
    await until(lambda: at_bottom(ann), "the newest message stays in sight when the box grows")


async def test_who_reads_above_is_not_moved_and_is_told_what_is_new(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(45))
        await ann.join(room, "Ann")
        await ann.hears("line 44")
        await ann.scroll_to(300)
        place = await place_of(ann, "line 20")
        await bob.say("new 1", "new 2")
        await expect(ann.pill).to_have_text("2 new messages")
        assert await place_of(ann, "line 20") == pytest.approx(place, abs=1)
    await expect(ann.page).to_have_title(f"(2) #{room} – Broadcaster")
    await ann.pill.click()
    await expect(ann.pill).to_be_hidden()
    await until(lambda: at_bottom(ann), "the pill leads to the newest message")
    await expect(ann.box).to_be_focused()
    await expect(ann.page).to_have_title(f"#{room} – Broadcaster")
    await expect(ann.lines("marker")).to_have_text("New messages")


async def test_escape_leads_to_the_newest_message_and_takes_the_line_away(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(45))
        await ann.join(room, "Ann")
        await ann.scroll_to(0)
        await bob.say("new")
        await expect(ann.lines("marker")).to_have_count(1)
    await ann.page.keyboard.press("Escape")
    await expect(ann.lines("marker")).to_have_count(0)
    await until(lambda: at_bottom(ann), "Escape leads to the newest message")


async def test_saying_something_shows_it_wherever_one_was(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(45))
    await ann.join(room, "Ann")
    await ann.hears("line 44")
    await ann.scroll_to(0)
    await ann.say("mine")
    await ann.hears("mine")
    await until(lambda: at_bottom(ann), "one's own message is in sight")


async def test_scrolling_up_brings_earlier_messages_without_a_jump(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(130))
    await ann.join(room, "Ann")
    await ann.hears("line 129")
    assert len(await ann.texts()) <= 100
    await ann.scroll_to(40)
    place = await place_of(ann, "line 83")
    await ann.hears("line 35")
    assert await place_of(ann, "line 83") == pytest.approx(place, abs=1)
    await ann.scroll_to(0)
    await expect(ann.lines("edge")).to_have_text(f"Beginning of #{room}")
    assert await ann.texts() == lines(130)


async def test_two_thousand_messages_stay_few_in_the_page(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await ann.join(room, "Ann")
        for part in range(4):
            await bob.say(*lines(2_000)[part * 500 : (part + 1) * 500])
        await ann.hears("line 1999")
        assert (await ann.texts())[-3:] == ["line 1997", "line 1998", "line 1999"]
        rows = await ann.log.get_by_role("listitem").count()
        assert 300 <= rows <= 520


async def test_far_up_in_a_full_room_one_reads_on_while_others_talk(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say(*lines(600))
        await ann.join(room, "Ann")
        for first in (500, 450, 400, 350, 300, 250, 200, 150, 100, 50, 0):
            await ann.scroll_to(0)
            await expect(ann.row(f"line {first}")).to_have_count(1)
        assert len(await ann.texts()) == 500
        await ann.scroll_to(100)
        place = await place_of(ann, "line 8")
        await bob.say("said meanwhile")
        await expect(ann.pill).to_have_text("1 new message")
        assert await place_of(ann, "line 8") == pytest.approx(place, abs=1)
    await ann.pill.click()
    await ann.hears("said meanwhile")
    await until(lambda: at_bottom(ann), "the pill leads to the newest message")


async def test_what_arrives_in_a_hidden_tab_is_counted_and_marked(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("seen")
        await ann.join(room, "Ann")
        await ann.hears("seen")
        await ann.hide()
        await bob.say("unseen 1", "unseen 2")
        await expect(ann.page).to_have_title(f"(2) #{room} – Broadcaster")
        await expect(ann.page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("favicon-unread"))
    await ann.show()
    await expect(ann.page).to_have_title(f"#{room} – Broadcaster")
    kinds = await ann.log.locator(".row-message, .row-marker").evaluate_all("rows => rows.map(row => row.className)")
    assert ["marker" in kind for kind in kinds] == [False, True, False, False]


async def test_markup_in_messages_and_names_is_text(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    attacks = [
        "<img src=x onerror=\"document.title='owned'\">",
        '<script>document.title="owned"</script>',
        "javascript:alert(1)",
        '"><svg onload=alert(1)>',
        "https://example.org/\"onmouseover=\"document.title='owned'",
    ]
    await ann.join(room, "Ann")
    async with speaker(chat, room, "<b>Bob</b>") as bob:
        await bob.say(*attacks)
        assert await until_texts(ann, len(attacks)) == attacks
    assert await ann.log.locator("img, script, svg, b").count() == 0
    hrefs = await ann.log.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
    assert [href for href in hrefs if not href.startswith("https://example.org/")] == [ann.page.url]
    await expect(ann.page).to_have_title(re.compile("Broadcaster"))


async def test_links_code_and_emoji(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    await ann.say("See https://example.org/a_(b). And `x = 1`:\n```\nlet y;\n```")
    link = ann.log.get_by_role("link", name="https://example.org/a_(b)")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow ugc")
    await expect(ann.log.get_by_role("group", name="Code")).to_have_text("let y;")
    await ann.say("🎉")
    await expect(ann.log.locator(".emoji")).to_have_text("🎉")


async def test_a_very_long_message_is_folded(people: People, chat: ChatServer, room: str) -> None:
    ann = await people.tab(chat.url(""))
    await ann.join(room, "Ann")
    async with speaker(chat, room, "Bob") as bob:
        await bob.say("\n".join(lines(40)))
    await expect(ann.log.get_by_text("line 39")).to_be_attached()
    folded = await ann.log.locator(".body").bounding_box()
    await ann.log.get_by_role("button", name="Show more").click()
    unfolded = await ann.log.locator(".body").bounding_box()
    assert folded
    assert unfolded
    assert folded["height"] < unfolded["height"] / 2


async def test_the_page_needs_nothing_that_its_strict_policy_forbids(
    people: People, chat: ChatServer, room: str
) -> None:
    ann = await people.tab(chat.url(""))
    answer = await ann.page.goto(chat.url(f"/?room={room}"))
    assert answer
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "trusted-types 'none'" in policy
    await ann.join(room, "Ann")
    await ann.say("works https://example.org/ `too`")
    await expect(ann.log.get_by_role("link")).to_be_visible()
    await ann.page.get_by_role("button", name="Menu").click()
    await ann.page.get_by_role("radio", name="Dark").check(force=True)
    await expect(ann.root).to_have_attribute("data-theme", "dark")
    with pytest.raises(Error, match="TrustedHTML"):
        await ann.page.evaluate("document.body.innerHTML = '<b>x</b>'")
    people.complaints.clear()  # the policy's own


def lines(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


async def place_of(tab: Tab, text: str) -> float:
    place: float = await tab.row(text).evaluate("row => row.getBoundingClientRect().top")
    return place


async def at_bottom(tab: Tab) -> bool:
    return await tab.distance_from_bottom() <= 1


async def until_texts(tab: Tab, count: int) -> list[str]:
    await expect(tab.log.locator(".body")).to_have_count(count)
    return await tab.texts()
