"""`chat.v1`: commands are read strictly where it matters and generously where versions differ."""

import base64
import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat import protocol
from chat.exceptions import InvalidCommand
from chat.protocol import CloseCode, ErrorCode, Ping, Publish, User

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ADA = User("u1", "Ada")


def decode(frame: str | bytes, *, text_length: int = 4000) -> protocol.Command | None:
    return protocol.decode(frame, text_length=text_length)


def command(**fields: Any) -> str:
    return json.dumps(fields)


def complaint(frame: str | bytes) -> InvalidCommand:
    with pytest.raises(InvalidCommand) as caught:
        decode(frame)
    return caught.value


# --- commands ---


def test_publish_carries_text() -> None:
    """The commonest command."""
    read = decode(command(type="publish", id="1", text="hello"))
    assert isinstance(read, Publish)
    assert (read.id, read.text, read.data, read.binary) == ("1", "hello", UNSET, UNSET)


@given(JSON)
def test_publish_carries_any_json(value: Any) -> None:
    """`data` is not looked into: null, numbers and nested objects arrive as they were sent."""
    read = decode(command(type="publish", data=value))
    assert isinstance(read, Publish)
    assert isinstance(read.data, msgspec.Raw)
    assert json.loads(bytes(read.data)) == value


@given(st.binary(max_size=200))
def test_publish_carries_base64(value: bytes) -> None:
    """`binary` arrives as bytes."""
    read = decode(command(type="publish", binary=base64.b64encode(value).decode()))
    assert isinstance(read, Publish)
    assert read.binary == value


def test_ping_needs_no_id() -> None:
    """The id of a ping is there for who wants to tell pongs apart."""
    assert decode('{"type":"ping"}') == Ping()
    assert decode('{"type":"ping","id":"7"}') == Ping("7")


def test_unknown_types_are_ignored() -> None:
    """A client of a later version is understood as far as possible."""
    assert decode('{"type":"dance","id":5}') is None


def test_unknown_fields_are_ignored() -> None:
    """A later version may add fields."""
    read = decode(command(type="publish", text="a", colour="red"))
    assert isinstance(read, Publish)
    assert read.text == "a"


@pytest.mark.parametrize("frame", ["", "hello", "[]", "1", '"publish"', "null", "{", '{"type":"ping"} x', "{'a':1}"])
def test_what_is_no_json_object_is_fatal(frame: str) -> None:
    """A stream that is not made of JSON objects makes no sense any more."""
    error = complaint(frame)
    assert error.fatal
    assert error.code == ErrorCode.MALFORMED


@pytest.mark.parametrize("frame", ["{}", '{"type":1}', '{"type":null}', '{"id":"1","text":"a"}'])
def test_a_command_without_a_type_is_no_end_of_the_stream(frame: str) -> None:
    """It gets an error, as one command went wrong and the next may be right."""
    error = complaint(frame)
    assert not error.fatal
    assert "type" in str(error)


@pytest.mark.parametrize("fields", [{"text": 1}, {"text": None}, {"binary": "%%%"}, {"binary": 5}])
def test_content_of_a_wrong_kind_is_an_error_with_the_commands_id(fields: dict[str, Any]) -> None:
    """So that the client knows which of its commands went wrong."""
    error = complaint(command(type="publish", id="mine", **fields))
    assert (error.id, error.code, error.fatal) == ("mine", ErrorCode.MALFORMED, False)


@pytest.mark.parametrize("bound", ["before", "after"])
def test_an_offset_has_a_size_that_everybody_can_count(bound: str) -> None:
    """No more is handed to a broker, which would not know what to do with it."""
    assert decode(command(type="history", id="mine", **{bound: 10**15 - 1}))
    assert complaint(command(type="history", id="mine", **{bound: 10**15})).id == "mine"


def test_history_takes_one_bound() -> None:
    """Before and after together make no page."""
    error = complaint(command(type="history", id="mine", before=5, after=1))
    assert (error.id, error.fatal) == ("mine", False)


@pytest.mark.parametrize("id", ["", "x" * 65, 5, None, ["a"]])
def test_an_id_is_a_string_of_1_to_64_characters(id: Any) -> None:
    """An id that is not allowed is not repeated in the error either."""
    assert complaint(command(type="publish", id=id, text="a")).id is None
    with pytest.raises(InvalidCommand):
        decode(command(type="ping", id=id))


def test_a_number_has_digits_that_every_client_can_read() -> None:
    """Some readers give up on thousands of them, and whoever runs one would be thrown out of the room."""
    assert decode(f'{{"type":"publish","data":[{"9" * 1000}]}}')
    assert decode(f'{{"type":"publish","data":["{"9" * 3000}"]}}')
    assert "digits" in str(complaint(f'{{"type":"publish","data":[{"9" * 1001}]}}'))


@pytest.mark.parametrize("opening", ["[", '{"type":"publish","data":' + "[", '{"a":'])
def test_deep_nesting_is_an_error_and_no_crash(opening: str) -> None:
    """JSON that is nested a hundred thousand times costs its sender an error."""
    assert complaint(opening * 100_000).fatal


@given(st.text() | st.binary() | JSON.map(json.dumps) | st.dictionaries(st.text(), JSON).map(json.dumps))
def test_nothing_crashes_the_reader(frame: str | bytes) -> None:
    """Whatever comes is a command, an unknown one, or `InvalidCommand`."""
    with suppress(InvalidCommand):
        decode(frame)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["publish", "ping", "history", "members", "typing", "refresh", "later"]) | JSON},
        optional=dict.fromkeys(("id", "text", "data", "binary", "before", "after", "limit", "token"), JSON),
    )
)
def test_nothing_that_looks_like_a_command_crashes_the_reader(fields: dict[str, Any]) -> None:
    """Fields of any type in commands of any kind are no end of the stream."""
    error = None
    try:
        decode(json.dumps(fields))
    except InvalidCommand as caught:
        error = caught
    assert error is None or not error.fatal


# --- limits of what is said ---


@pytest.mark.parametrize(
    "fields", [{}, {"text": "a", "data": 1}, {"text": "a", "binary": ""}, {"text": "a", "data": 1, "binary": ""}]
)
def test_a_message_says_exactly_one_thing(fields: dict[str, Any]) -> None:
    """Two contents or none are an error that carries the command's id."""
    error = complaint(command(type="publish", id="mine", **fields))
    assert "exactly one" in str(error)
    assert (error.id, error.code, error.fatal) == ("mine", ErrorCode.MALFORMED, False)


@pytest.mark.parametrize("text", ["x" * 10, "🚀" * 10, ""])
def test_a_text_within_the_limit_passes(text: str) -> None:
    """Characters count, not bytes."""
    assert decode(command(type="publish", text=text), text_length=10)


def test_a_text_over_the_limit_is_too_long() -> None:
    """Unless the limit is switched off."""
    with pytest.raises(InvalidCommand, match="11 characters; 10 are allowed") as error:
        decode(command(type="publish", text="x" * 11), text_length=10)
    assert error.value.code == ErrorCode.TOO_LONG
    assert decode(command(type="publish", text="x" * 11), text_length=0)


def nested(depth: int) -> str:
    return '{"type":"publish","data":' + '[{"a":' * (depth // 2) + "1" + "}]" * (depth // 2) + "}"


def test_data_has_a_depth() -> None:
    """How deep a reader gets depends on where it is called; this much every one of them can read."""
    assert decode(nested(2))
    assert decode(nested(protocol.MAX_DEPTH))
    error = complaint(nested(protocol.MAX_DEPTH + 2))
    assert "nested deeper" in str(error)
    assert not error.fatal


@pytest.mark.parametrize("data", ["[" * 500, '"' + "[{" * 200 + "\\", [[]] * 500, {"[" * 300: "}" * 300}])
def test_brackets_are_not_depth_by_themselves(data: Any) -> None:
    """Wide is not deep, and what stands in strings does not count."""
    assert decode(command(type="publish", data=data))


@given(JSON)
def test_any_data_that_is_not_deep_passes(value: Any) -> None:
    """Whatever its strings look like."""
    assert decode(command(type="publish", data=[value] * 60))


# --- messages ---


def test_a_body_says_exactly_one_thing() -> None:
    """Who uses the library wrongly is told at once."""
    with pytest.raises(ValueError, match="exactly one"):
        protocol.body(ADA)
    with pytest.raises(ValueError, match="exactly one"):
        protocol.body(ADA, "a", binary=b"a")


def test_a_body_without_an_id_gets_one_of_its_own() -> None:
    """Every message has an id, and no two the same."""
    assert protocol.body(ADA, "a").id != protocol.body(ADA, "a").id


@given(st.text(), JSON.filter(lambda value: value is not None), st.binary())
def test_a_body_is_read_back(text: str, data: Any, binary: bytes) -> None:
    """What one worker writes another reads."""
    for said in (protocol.body(ADA, text), protocol.body(ADA, data=data), protocol.body(ADA, binary=binary)):
        assert protocol.decode_body(protocol.encode(said)) == said


@given(st.text())
def test_a_message_is_its_body_with_its_place_in_front(text: str) -> None:
    """The body is not written again for the event, and is valid JSON all the same."""
    written = protocol.encode_message(
        offset=7, at=1_795_254_060_123, body=protocol.encode(protocol.body(ADA, text, id="m"))
    )
    assert json.loads(written) == {
        "type": "message",
        "offset": 7,
        "at": "2026-11-21T09:41:00.123Z",
        "id": "m",
        "user": {"id": "u1", "name": "Ada"},
        "text": text,
    }
    assert msgspec.json.decode(written, type=protocol.Message).text == text


@given(st.integers(0, 4_000_000_000_000))
def test_a_timestamp_keeps_its_milliseconds(at: int) -> None:
    """ISO 8601 in UTC, of one length, so that it sorts as text."""
    written = protocol.timestamp(at)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written)
    assert round(datetime.fromisoformat(written).timestamp() * 1000) == at


# --- close codes ---


@pytest.mark.parametrize(
    ("code", "status"), [(1008, 403), (4400, 422), (4401, 401), (4403, 403), (4408, 429), (4429, 429), (4503, 503)]
)
def test_a_refusal_has_one_status(code: int, status: int) -> None:
    """The same refusal, told before the handshake is complete."""
    assert CloseCode(code).http_status == status
