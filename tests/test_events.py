"""What travels between workers is read back, and what is not ours is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import protocol
from chat.events import Publication, Signal, parse, serialise
from chat.exceptions import ForeignPayload
from chat.protocol import User

WORDS = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
BODIES = st.text().map(lambda text: protocol.encode(protocol.body(User("u", "Ada"), text)))


@given(WORDS, st.integers(1, 2**53), st.integers(0, 2**45), WORDS, BODIES)
def test_a_publication_is_read_back(epoch: str, offset: int, at: int, origin: str, body: bytes) -> None:
    """Line breaks and all."""
    read = parse(serialise(Publication(epoch, offset, at, origin, body)))
    assert isinstance(read, Publication)
    assert (read.epoch, read.offset, read.at, read.origin, read.body) == (epoch, offset, at, origin, body)


@given(WORDS, WORDS, st.binary())
def test_a_signal_is_read_back(kind: str, origin: str, body: bytes) -> None:
    """Its body is nobody's business on the way."""
    read = parse(serialise(Signal(kind, origin, body)))
    assert isinstance(read, Signal)
    assert (read.kind, read.origin, read.body) == (kind, origin, body)


@given(st.binary().filter(lambda payload: payload[:2] not in {b"m ", b"s "}))
def test_what_is_not_ours_is_refused_and_nothing_else_happens(payload: bytes) -> None:
    """Anybody can publish anything to a Redis channel."""
    with pytest.raises(ForeignPayload):
        parse(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"m",
        b"m e x 1 -\n{}",
        b"m e 1 1 -\n",
        b"m e 1 1 -\n[]",
        b"m e 1 1 -\n{}",
        b'm e 1 1 -\n{"id":1}',
    ],
)
def test_a_payload_that_only_looks_like_ours_is_refused(payload: bytes) -> None:
    """The body has to be a message as well."""
    with pytest.raises(ForeignPayload):
        parse(payload)
