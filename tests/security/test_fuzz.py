"""What no client would say: nothing of it harms the server, its log, or anybody else."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from chat import events, names, protocol
from chat.exceptions import ForeignPayload, InvalidCommand, InvalidName
from chat.rights import Action, Rights
from tests.members import Member, join
from tests.servers import PATIENCE, ChatServer

FEW, MANY = 40, 3000
LONGEST_ID = 64

# --- what is said ---

# What no client should have to say; the server reads it, and knows which command is meant.
NONSENSE = [
    *(
        "null",
        "true",
        "-0",
        "1e999",
        "-1",
        "0.1",
        "1E+2",
        "[]",
        "{}",
        '""',
        '"\\u0000"',
        '"\\ud83d\\ude80"',
        "200",
        "201",
    ),
    *(f"{2**53}", f"{2**63}", f"{2**64}", "9" * 999, "9" * 5000, "1" + "0" * 10_000),
    *("[" * depth + "]" * depth for depth in (99, 100, 101)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (99, 101)),
    *('"' + "x" * length + '"' for length in (63, 64, 65, 4000, 4001, 10_000)),
    *('"=="', '"AAA"', '"AP8="', '"%%"', '"AP8=\\n"', '{"a":1,"a":2}', "[1,\\n\\n2]".replace("\\n", "\n")),
]
# What cannot be read: no JSON, or nested so deeply that nobody tries.
BROKEN = [
    "[" * 5000 + "]" * 5000,
    '{"a":' * 5000 + "1" + "}" * 5000,
    '"\\ud800"',
    '"\\udc00\\ud800"',
    "NaN",
    "Infinity",
    "01",
    "1.",
    "'x'",
    '"\x00"',
    '"',
    "[",
    "[1,]",
    "",
    '{"a"}',
]
# Long ones go by short names, for the sake of who reads of a failure.
LONG = {f"{value[:8]} and so on, {len(value)} characters": value for value in [*NONSENSE, *BROKEN] if len(value) > 64}
SHORT = {value: name for name, value in LONG.items()}
NONSENSE = [SHORT.get(value, value) for value in NONSENSE]
BROKEN = [SHORT.get(value, value) for value in BROKEN]

VALUES = st.sampled_from(NONSENSE) | st.text().map(json.dumps) | st.integers().map(json.dumps)
FIELDS = st.sampled_from(["text", "data", "binary", "before", "after", "limit", "token", "", "\0", "x"])
TYPES = st.sampled_from(["publish", "history", "members", "typing", "refresh", "ping", "later", "", "welcome"])
PAIRS = st.lists(st.tuples(FIELDS, VALUES), max_size=4)
COMMANDS = st.tuples(TYPES, PAIRS)


def written(type: str, pairs: list[tuple[str, str]], id: str) -> str:
    """Return a command; what comes last of what is said twice counts, so that its id is ours."""
    fields = [*pairs, ("type", json.dumps(type)), ("id", json.dumps(id))]
    return "{" + ",".join(f"{json.dumps(name)}:{LONG.get(value, value)}" for name, value in fields) + "}"


ANSWERED = {"publish", "history", "members", "refresh", "ping"}


def number(digits: str) -> int | str:
    return int(digits) if len(digits) < LONGEST_ID else digits


async def heard(member: Member, *ids: str) -> tuple[Counter[Any], int | None]:
    """Read until there is a reply for each of the ids; returns them by id, and the code if the server closed before."""
    replies: Counter[Any] = Counter()
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while not replies.keys() >= {*ids}:
                event = json.loads(await member.socket.recv(), parse_int=number)
                if event["type"] in {"ack", "history", "members", "pong", "error"}:
                    replies[event.get("id")] += 1
                if event["type"] == "error":
                    assert event["code"] in {"malformed", "too_long", "unauthenticated", "forbidden"}
        return replies, None
    return replies, member.socket.close_code


def live(examples: int) -> settings:
    """For tests that talk to a server that lasts longer than one example."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


# --- chat.v1 ---


async def commands_are_answered(server: ChatServer, room: str, said: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """Each by one reply, and the connection stays."""
    async with join(server, room, token=secrets.token_hex(4), query="history=0") as mallory:
        for index, (type, pairs) in enumerate(said):
            await mallory.socket.send(written(type, pairs, f"c{index}"))
        expected = [f"c{index}" for index, (type, _) in enumerate(said) if type in ANSWERED]
        replies, code = await heard(mallory, *expected)
        assert code is None
        await mallory.send("ping", id="end")
        later, code = await heard(mallory, "end")
        assert (replies + later, code) == (Counter([*expected, "end"]), None)


async def frames_do_no_harm(server: ChatServer, room: str, said: list[str | bytes]) -> None:
    """They are answered, or the connection is closed by 4400."""
    async with join(server, room, token=secrets.token_hex(4), query="history=0") as mallory:
        with suppress(ConnectionClosed):
            for frame in [*said, json.dumps({"type": "ping", "id": "end"})]:
                await mallory.socket.send(LONG.get(frame, frame) if isinstance(frame, str) else frame)
        _, code = await heard(mallory, "end")
    assert code in {None, 4400}


SAID = st.lists(COMMANDS, max_size=8)
BROKEN_COMMANDS = st.tuples(TYPES, FIELDS, st.sampled_from(BROKEN)).map(
    lambda it: written(it[0], [(it[1], it[2])], "c")
)
FRAMES = st.lists(
    st.text() | st.binary(max_size=500) | BROKEN_COMMANDS | st.sampled_from([*NONSENSE, *BROKEN]), max_size=6
)


@given(SAID)
@example([("publish", [("data", value)]) for value in NONSENSE])
@example([("publish", [("text", value)]) for value in NONSENSE])
@example([("publish", [("binary", value)]) for value in NONSENSE])
@example([("history", [(bound, value)]) for value in NONSENSE for bound in ("before", "after", "limit")])
@example([("refresh", [("token", value)]) for value in NONSENSE])
@live(FEW)
async def test_every_command_is_answered_once(server: ChatServer, room: str, said: Any) -> None:
    await commands_are_answered(server, room, said)


@given(FRAMES)
@live(FEW)
async def test_what_is_no_command_does_no_harm(server: ChatServer, room: str, said: Any) -> None:
    await frames_do_no_harm(server, room, said)


@pytest.mark.slow
@given(SAID)
@live(MANY)
async def test_every_command_is_answered_once_for_long(server: ChatServer, room: str, said: Any) -> None:
    await commands_are_answered(server, room, said)


@pytest.mark.slow
@given(FRAMES)
@live(MANY)
async def test_what_is_no_command_does_no_harm_for_long(server: ChatServer, room: str, said: Any) -> None:
    await frames_do_no_harm(server, room, said)


# --- plain text ---


@given(st.lists(st.text() | st.binary(max_size=1000), max_size=8))
@live(FEW)
async def test_plain_text_is_repeated_whatever_it_is(server: ChatServer, room: str, said: list[str | bytes]) -> None:
    """Text as text and bytes as bytes, in order, to the one who said it."""
    async with server.ws(f"/items/{room}/ws?token={secrets.token_hex(4)}") as socket:

        async def answer() -> str | bytes:
            async with asyncio.timeout(PATIENCE):
                while str(line := await socket.recv()).startswith("Client #"):
                    pass  # whoever was there before has left
            return line

        for message in said:
            await socket.send(message)
        for message in said:
            assert str(await answer()).startswith("Session cookie or query token value is: ")
            expected = message if isinstance(message, bytes) else f"Message text was: {message}, for item ID: {room}"
            assert await answer() == expected


# --- what reads it, without a server ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda i: st.lists(i) | st.dictionaries(st.text(), i),
)
COMMAND_TEXTS = COMMANDS.map(lambda it: written(*it, "c")) | BROKEN_COMMANDS


@given(st.text() | st.binary() | COMMAND_TEXTS | st.sampled_from([*NONSENSE, *BROKEN]))
def test_a_frame_is_a_command_or_not(frame: str | bytes) -> None:
    with suppress(InvalidCommand):
        protocol.decode(frame, text_length=4000)


@given(st.binary() | COMMAND_TEXTS.map(lambda text: text.encode(errors="replace")))
def test_a_body_is_content_or_not(body: bytes) -> None:
    with suppress(InvalidCommand):
        protocol.check(protocol.decode_content(body), text_length=4000)


@given(
    st.binary() | st.tuples(st.sampled_from([b"m e 1 2 o\n", b"m e x 2 o\n", b"s k o\n"]), st.binary()).map(b"".join)
)
def test_a_payload_is_an_event_or_foreign(payload: bytes) -> None:
    with suppress(ForeignPayload):
        events.parse(payload)


@given(st.text(st.characters() | st.characters(categories=["Cs", "Mn", "Cf"]), max_size=200))
def test_a_name_is_normal_or_refused(name: str) -> None:
    """And what was let in once is let in again, as it is."""
    for normal in (names.room_name, names.display_name):
        with suppress(InvalidName):
            assert normal(normal(name)) == normal(name)
            normal(name).encode()


@given(JSON | st.dictionaries(st.text(), st.lists(st.sampled_from(["publish", "subscribe", "*"]))), st.text())
def test_rights_are_read_or_refused(claim: Any, room: str) -> None:
    with suppress(ValueError):
        rights = Rights.parse(claim)
        rights.allow(room, Action.PUBLISH)
        assert Rights.parse(rights.claim()) == rights


@given(st.text() | st.from_regex(r"[\w:]{0,20}:\d{0,20}"))
def test_a_position_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        position = events.Position.parse(text)
        assert 0 <= position.offset <= protocol.MAX_OFFSET
        assert position.epoch
