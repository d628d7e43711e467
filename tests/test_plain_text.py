"""The tutorial's lines, to the letter."""

from chat import plain_text, protocol
from chat.frames import Payload
from chat.protocol import User

ADA = User("u1", "Ada")


def lines_for_sender(q: int | None) -> list[str]:
    body = protocol.body(ADA, "hello")
    return [line.data.decode() for line in plain_text.for_sender(body, credential="secret", q=q, item_id="foo")]


def test_the_sender_sees_its_credential_then_its_message() -> None:
    """As the tutorial's second example answers."""
    assert lines_for_sender(None) == [
        "Session cookie or query token value is: secret",
        "Message text was: hello, for item ID: foo",
    ]


def test_q_stands_in_between() -> None:
    """Zero is a number as well."""
    assert lines_for_sender(0)[1] == "Query parameter q is: 0"
    assert len(lines_for_sender(3)) == 3


def test_others_see_who_says_what() -> None:
    """As the tutorial's third example broadcasts."""
    assert plain_text.for_others(protocol.body(ADA, "hello")) == Payload(b"Client #Ada says: hello")


def test_others_see_who_left() -> None:
    """The third example's other line."""
    assert plain_text.farewell(ADA) == Payload(b"Client #Ada left the chat")


def test_binary_stays_binary() -> None:
    """For the others and in the sender's echo."""
    body = protocol.body(ADA, binary=b"\x00\xff")
    assert plain_text.for_others(body) == Payload(b"\x00\xff", binary=True)
    assert plain_text.for_sender(body, credential="c", q=None, item_id="foo")[-1] == Payload(b"\x00\xff", binary=True)


def test_data_is_its_json_text() -> None:
    """Members of other protocols in the room can be followed."""
    body = protocol.body(ADA, data={"a": [1, None]})
    assert plain_text.for_others(body) == Payload(b'Client #Ada says: {"a":[1,null]}')
