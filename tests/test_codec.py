"""The same items, written for each kind of client."""

import json

import msgspec
import pytest

from chat import protocol
from chat.codec import ChatV1, EventStream, PlainText, Raw
from chat.events import Left, Publication
from chat.frames import Payload
from chat.protocol import Status
from tests.publications import ADA, publication

PLAIN = PlainText(credential="secret", q=None, item_id="foo")
LEAVING = Left(ADA)


def said(**content: object) -> Publication:
    return Publication("e", 1, 0, "w-1", protocol.encode(protocol.body(ADA, **content)))  # type: ignore[arg-type]


def test_chat_v1_writes_messages_and_events_as_json() -> None:
    """One object per item, named by its type."""
    message, status = ChatV1().encode(publication(3)), ChatV1().encode(Status("ok"))
    assert message is not None
    assert status is not None
    assert json.loads(message.data)["offset"] == 3
    assert json.loads(status.data) == {"type": "status", "state": "ok"}


def test_chat_v1_says_nothing_of_plain_farewells() -> None:
    """Presence tells of people, not of sockets."""
    assert ChatV1().encode(LEAVING) is None


def test_an_event_stream_is_not_cut_by_line_breaks_in_data() -> None:
    """Which are white space in JSON, and the end of a field here."""
    payload = EventStream().encode(said(data=msgspec.Raw(b'{"a":\n\n[1,\r\n2]}')))
    assert payload is not None
    *_, data, end, rest = payload.data.split(b"\n")
    assert json.loads(data.removeprefix(b"data: "))["data"] == {"a": [1, 2]}
    assert (end, rest) == (b"", b"")


def test_plain_text_never_shows_a_credential_to_others() -> None:
    """Only what the sender itself gets repeats it."""
    message = publication(1)
    for_others = PLAIN.encode(message)
    assert for_others is not None
    assert b"secret" not in for_others.data
    assert b"secret" in PLAIN.own(message)[0].data


def test_plain_text_tells_who_left() -> None:
    """The tutorial's line."""
    assert PLAIN.encode(LEAVING) == Payload(b"Client #Ada left the chat")


def test_plain_text_has_no_words_for_the_rest() -> None:
    """A tutorial client would show it as a message."""
    assert PLAIN.encode(Status("degraded")) is None


@pytest.mark.parametrize(
    ("content", "payload"),
    [
        ({"text": "hé"}, Payload("hé".encode())),
        ({"binary": b"\xff"}, Payload(b"\xff", binary=True)),
        ({"data": [1]}, Payload(b"[1]")),
    ],
)
def test_raw_is_just_what_was_said(content: dict[str, object], payload: Payload) -> None:
    """For other people's apps, which have a protocol of their own."""
    assert Raw().encode(said(**content)) == payload


def test_raw_tells_of_nothing_but_messages() -> None:
    """No farewell, no status, no gap mixes with what members say."""
    assert Raw().encode(LEAVING) is None
    assert Raw().encode(Status("ok")) is None


def test_only_plain_text_shows_its_author_something_else() -> None:
    """For the others the whole room shares one frame."""
    assert (PLAIN.personal, ChatV1().personal, Raw().personal) == (True, False, False)
    with pytest.raises(NotImplementedError, match="raw is not personal"):
        Raw().own(publication(1))
