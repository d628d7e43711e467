"""chat.v1 on real servers, as docs/protocol.md has it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest

from tests.members import join
from tests.servers import ChatServer

# --- welcome ---


async def test_welcome_says_where_one_is(server: ChatServer, room: str) -> None:
    """Room, person, place in the order, limits."""
    async with join(server, room, query="name=Ada") as ada:
        welcome = ada.welcome
    assert (welcome["type"], welcome["room"], welcome["offset"], welcome["user"]["name"]) == ("welcome", room, 0, "Ada")
    assert re.fullmatch(r"[0-9a-f]+-\d+", welcome["connection"])
    assert welcome["epoch"]
    assert welcome["limits"] == {"frame_bytes": 65536, "text_length": 4000, "rate": 0, "burst": 40}
    assert welcome["heartbeat"] == 25


async def test_a_person_has_one_id_and_every_socket_its_own(server: ChatServer, room: str) -> None:
    """Two tabs with one credential are one person."""
    async with join(server, room) as one, join(server, room) as other, join(server, room, token="secret-2") as third:
        assert one.id == other.id != third.id
        assert one.welcome["connection"] != other.welcome["connection"]


async def test_two_ways_to_write_a_room_are_one_room(server: ChatServer, room: str) -> None:
    """A composed and a decomposed accent."""
    async with join(server, f"{room}-caf%C3%A9") as one, join(server, f"{room}-cafe%CC%81") as other:
        assert one.welcome["room"] == other.welcome["room"] == f"{room}-café"
        await one.send("publish", text="hello")
        assert (await other.event("message"))["text"] == "hello"


# --- publish ---


async def test_a_message_reaches_everybody_the_sender_included(server: ChatServer, room: str) -> None:
    """The same object to all, and an ack to who said it."""
    async with join(server, room, query="name=Ada") as ada, join(server, room, token="secret-2") as grace:
        ack = await ada.ask("publish", id="m1", text="hello")
        heard = await grace.event("message")
    assert ack == {"type": "ack", "id": "m1", "epoch": ada.welcome["epoch"], "offset": 1, "duplicate": False}
    assert [event for event in ada.seen if event["type"] == "message"] in ([heard], [])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", heard.pop("at"))
    assert heard == {
        "type": "message",
        "offset": 1,
        "id": "m1",
        "user": {"id": ada.id, "name": "Ada"},
        "text": "hello",
    }


@pytest.mark.parametrize(
    "content",
    [
        {"text": ""},
        {"text": 'línea\nwith "quotes", \u2028 and 👩\u200d🚀'},
        {"data": {"a": [1, 2.5, None, {"b": "c"}]}},
        {"data": None},
        {"data": 12345678901234567890},
        {"binary": base64.b64encode(bytes(range(256))).decode()},
        {"binary": ""},
    ],
)
async def test_what_is_said_arrives_as_it_was_said(server: ChatServer, room: str, content: dict[str, Any]) -> None:
    """Text, any JSON, or base64."""
    async with join(server, room) as ada:
        await ada.send("publish", **content)
        heard = await ada.event("message")
    assert {name: heard[name] for name in ("text", "data", "binary") if name in heard} == content


async def test_without_an_id_there_is_no_ack(server: ChatServer, room: str) -> None:
    """The server makes an id for the message."""
    async with join(server, room) as ada:
        await ada.send("publish", text="hello")
        assert (await ada.event("message"))["id"]
        assert (await ada.ask("ping"))["type"] == "pong"
    assert "ack" not in {event["type"] for event in ada.seen}


async def test_the_same_id_again_makes_no_second_message(server: ChatServer, room: str) -> None:
    """The second ack says so, with the first one's offset; also over another connection."""
    async with join(server, room) as ada:
        first = await ada.ask("publish", id="m1", text="hello")
    async with join(server, room) as ada:
        again = await ada.ask("publish", id="m1", text="hello again")
        await ada.ask("publish", id="m2", text="end")
        history = await ada.ask("history")
    assert again == {**first, "duplicate": True}
    assert [message["id"] for message in history["messages"]] == ["m1", "m2"]


async def test_nobody_can_spend_anothers_id(server: ChatServer, room: str) -> None:
    """Ids are remembered per person."""
    async with join(server, room) as ada, join(server, room, token="secret-2") as mallory:
        await mallory.ask("publish", id="m1", text="first!")
        assert not (await ada.ask("publish", id="m1", text="mine"))["duplicate"]


async def test_many_commands_at_once_are_carried_out_in_order(server: ChatServer, room: str) -> None:
    """Without waiting for one's acks."""
    async with join(server, room) as ada:
        for number in range(200):
            await ada.send("publish", id=str(number), text=str(number))
        heard = await ada.messages(200)
    assert [message["text"] for message in heard] == [str(number) for number in range(200)]


# --- ping, errors ---


async def test_ping(server: ChatServer, room: str) -> None:
    """With its id, if it has one."""
    async with join(server, room) as ada:
        assert await ada.ask("ping", id="p1") == {"type": "pong", "id": "p1"}
        await ada.send("ping")
        assert await ada.event("pong") == {"type": "pong"}


async def test_unknown_types_and_fields_are_ignored(server: ChatServer, room: str) -> None:
    """No answer, no error, no end."""
    async with join(server, room) as ada:
        await ada.send("dance", id="d1", style="tango")
        assert (await ada.ask("publish", text="hello", later="field"))["type"] == "ack"
    assert "error" not in {event["type"] for event in ada.seen}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"type": "publish"}, "malformed"),
        ({"type": "publish", "text": 5}, "malformed"),
        ({"type": "publish", "text": "a", "binary": ""}, "malformed"),
        ({"type": "publish", "binary": "%"}, "malformed"),
        ({"type": "publish", "text": "x" * 4001}, "too_long"),
        ({"type": "history", "limit": 0}, "malformed"),
        ({"type": "history", "limit": 201}, "malformed"),
        ({"type": "history", "before": 3, "after": 1}, "malformed"),
        ({"type": "history", "before": -1}, "malformed"),
    ],
)
async def test_a_wrong_command_gets_an_error_and_no_more(
    server: ChatServer, room: str, command: dict[str, Any], code: str
) -> None:
    """With the command's id, and a sentence; the connection stays."""
    async with join(server, room) as ada:
        error = await ada.ask(**command, id="c1")
        assert (error["type"], error["code"], error["id"]) == ("error", code, "c1")
        assert error["message"]
        assert (await ada.ask("ping"))["type"] == "pong"


async def test_an_emoji_is_one_character(server: ChatServer, room: str) -> None:
    """The limit counts characters, not bytes."""
    async with join(server, room) as ada:
        assert (await ada.ask("publish", text="🚀" * 4000))["type"] == "ack"


@pytest.mark.parametrize("frame", ["hello", "[1]", "{", "", b"\x00"])
async def test_a_stream_that_makes_no_sense_is_closed(server: ChatServer, room: str, frame: str | bytes) -> None:
    """An error, then 4400."""
    async with join(server, room) as ada:
        await ada.socket.send(frame)
        assert (await ada.closed())[0] == 4400
    assert ada.seen[-1]["type"] == "error"
    assert ada.seen[-1]["code"] == "malformed"


@pytest.mark.parametrize("size", [65537, 300_000])
async def test_a_frame_over_the_limit_is_closed(server: ChatServer, room: str, size: int) -> None:
    """With 4413, which says that trying again is no use."""
    async with join(server, room) as ada:
        await ada.socket.send(json.dumps({"type": "ping", "padding": "x" * size}))
        assert (await ada.closed())[0] == 4413


async def test_a_frame_at_the_limit_is_taken(server: ChatServer, room: str) -> None:
    """65,536 bytes."""
    async with join(server, room) as ada:
        command = json.dumps({"type": "publish", "id": "m", "data": ""})
        await ada.socket.send(command[:-2] + "x" * (65536 - len(command)) + '"}')
        assert (await ada.event("ack"))["id"] == "m"


async def test_json_that_is_nested_without_end_disturbs_nobody(server: ChatServer, room: str) -> None:
    """Whatever the depth, it is refused or arrives, with everybody and in the log; nothing in between."""
    accepted = 0
    async with join(server, room, token="secret-2") as grace:
        for depth in [*range(20, 900, 97), *range(880, 1010, 3)]:
            async with join(server, room, query="history=0") as ada:
                nested = "[" * depth + "]" * depth
                await ada.socket.send('{"type":"publish","id":"%d","data":%s}' % (depth, nested))  # noqa: UP031, braces
                accepted += (await ada.event("ack", "error"))["type"] == "ack"
        await grace.messages(accepted)
    async with join(server, room, query="history=200") as late:
        await late.messages(accepted)
        assert len((await late.ask("history", limit=200))["messages"]) == accepted


# --- replay ---


async def test_the_newest_fifty_are_replayed_to_who_joins(server: ChatServer, room: str) -> None:
    """After welcome, up to its offset; then what is said comes live."""
    async with join(server, room) as ada:
        for number in range(60):
            await ada.send("publish", text=str(number))
        await ada.messages(60)
        async with join(server, room) as late:
            replayed = await late.messages(50)
            await ada.send("publish", text="live")
            live = await late.event("message")
    assert late.welcome["offset"] == 60
    assert [message["offset"] for message in replayed] == list(range(11, 61))
    assert (live["offset"], live["text"]) == (61, "live")


@pytest.mark.parametrize("count", [0, 3, 200])
async def test_how_many_are_replayed_can_be_chosen(server: ChatServer, room: str, count: int) -> None:
    """From none to 200."""
    async with join(server, room) as ada:
        for number in range(5):
            await ada.send("publish", text=str(number))
        await ada.messages(5)
        async with join(server, room, query=f"history={count}") as late:
            await ada.say("live")
            heard = await late.messages(min(count, 5) + 1)
    assert [message["offset"] for message in heard] == list(range(6 - min(count, 5), 7))


async def test_who_comes_back_gets_what_it_missed(server: ChatServer, room: str) -> None:
    """From `since` on: all of it, once."""
    async with join(server, room) as ada:
        await ada.say("seen")
        epoch = ada.welcome["epoch"]
        for number in range(300):
            await ada.send("publish", text=str(number))
        await ada.messages(300)
        async with join(server, room, query=f"since={epoch}:1") as back:
            assert (back.welcome["recovered"], back.welcome["offset"]) == (True, 301)
            missed = await back.messages(300)
    assert [message["offset"] for message in missed] == list(range(2, 302))


async def test_who_missed_nothing_gets_nothing(server: ChatServer, room: str) -> None:
    """Recovered, and no message before the next one."""
    async with join(server, room) as ada:
        await ada.say("seen")
        async with join(server, room, query=f"since={ada.welcome['epoch']}:1") as back:
            assert back.welcome["recovered"]
            await ada.say("next")
            assert (await back.event("message"))["offset"] == 2


@pytest.mark.parametrize("since", ["another:1", "another:0", "another:999"])
async def test_another_epoch_is_a_gap(server: ChatServer, room: str, since: str) -> None:
    """Then what there is follows."""
    async with join(server, room) as ada:
        await ada.say("there")
        async with join(server, room, query=f"since={since}") as back:
            gap = await back.event("gap")
            message = await back.event("message")
    assert not back.welcome["recovered"]
    assert (gap["reason"], gap["before"], gap["epoch"]) == ("epoch", 1, ada.welcome["epoch"])
    assert message["offset"] == 1


async def test_an_offset_from_the_future_is_said_to_be_wrong(server: ChatServer, room: str) -> None:
    """A log that lost its end is not what the client has seen."""
    async with join(server, room) as ada:
        await ada.say("there")
        async with join(server, room, query=f"since={ada.welcome['epoch']}:99") as back:
            assert not back.welcome["recovered"]


# --- history ---


async def test_history_is_read_in_pages(server: ChatServer, room: str) -> None:
    """Backwards, forwards, and whether there is more."""
    async with join(server, room) as ada:
        for number in range(1, 11):
            await ada.send("publish", text=str(number))
        await ada.messages(10)
        pages = [
            await ada.ask("history", limit=3),
            await ada.ask("history", before=3, limit=5),
            await ada.ask("history", after=3, limit=4),
            await ada.ask("history", after=8, limit=2),
            await ada.ask("history", before=1),
            await ada.ask("history", before=0),
        ]
    found = [([message["offset"] for message in page["messages"]], page["more"]) for page in pages]
    assert found == [
        ([8, 9, 10], True),
        ([1, 2], False),
        ([4, 5, 6, 7], True),
        ([9, 10], False),
        ([], False),
        ([], False),
    ]
    assert {page["type"] for page in pages} == {"history"}


async def test_history_is_what_was_heard(server: ChatServer, room: str) -> None:
    """The same objects as the `message` events."""
    async with join(server, room) as ada:
        await ada.send("publish", data={"a": 1})
        heard = await ada.event("message")
        assert (await ada.ask("history"))["messages"] == [heard]


# --- people ---


async def test_members_are_people(server: ChatServer, room: str) -> None:
    """Two tabs count once, and who joins is told of everybody."""
    async with join(server, room, query="name=Ada") as ada, join(server, room, query="name=Ada"):
        await ada.event("presence")
        async with join(server, room, token="secret-2", query="name=Grace") as grace:
            await ada.event("presence")
            reply = await ada.ask("members")
    for told in (reply, grace.welcome):
        assert sorted(member["name"] for member in told["members"]) == ["Ada", "Grace"]
        assert told["count"] == 2


async def test_who_comes_and_goes_is_told(server: ChatServer, room: str) -> None:
    """With the number of those who are here."""
    async with join(server, room) as ada:
        async with join(server, room, token="secret-2", query="name=Grace") as grace:
            joined = await ada.event("presence")
            while grace.id not in [user["id"] for user in joined["joined"]]:
                joined = await ada.event("presence")
        left = await ada.event("presence")
    assert (joined["count"], left["count"]) == (2, 1)
    assert left["left"] == [{"id": grace.id, "name": "Grace"}]


async def test_a_reload_is_no_leave(server: ChatServer, room: str) -> None:
    """Who is back within the grace time has not been gone."""
    async with join(server, room) as ada:
        async with join(server, room, token="secret-2") as grace:
            await ada.event("presence")
        async with join(server, room, token="secret-2"):
            await asyncio.sleep(0.5)  # longer than the grace time of these servers
            await ada.say("end")
            await ada.ask("ping")
    left = [user["id"] for event in ada.seen if event["type"] == "presence" for user in event["left"]]
    assert grace.id not in left


async def test_typing_is_passed_on(server: ChatServer, room: str) -> None:
    """With who it is; not stored."""
    async with join(server, room) as ada, join(server, room, token="secret-2", query="name=Grace") as grace:
        await grace.send("typing")
        typing = await ada.event("typing")
        assert (await ada.ask("history"))["messages"] == []
    assert typing["user"] == {"id": grace.id, "name": "Grace"}


# --- the end ---


async def test_who_closes_is_closed(server: ChatServer, room: str) -> None:
    """By the same code."""
    async with join(server, room) as ada:
        await ada.socket.close(1000)
        assert ada.socket.close_code == 1000
