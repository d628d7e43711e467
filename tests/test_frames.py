"""Frames, as another implementation of RFC 6455 reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from chat.frames import Batch, Payload, deflated_frame, frame

PAYLOADS = st.builds(Payload, st.binary(max_size=300), binary=st.just(True)) | st.builds(
    Payload, st.text(max_size=300).map(str.encode)
)


def read(data: bytes, *extensions: Extension) -> list[Frame]:
    """Return what websockets' own client makes of bytes from a server."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    client.extensions = list(extensions)
    client.receive_data(data)
    assert client.parser_exc is None
    return [event for event in client.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 1_000_000])
@pytest.mark.parametrize("binary", [False, True])
def test_every_form_of_the_length_is_read_back(length: int, binary: bool) -> None:
    """The length has three forms; the borders between them are where mistakes live."""
    (one,) = read(frame(Payload(b"x" * length, binary)))
    assert (one.opcode, one.fin, len(one.data)) == (Opcode.BINARY if binary else Opcode.TEXT, True, length)


@given(st.lists(PAYLOADS, max_size=8))
def test_a_batch_is_read_back_message_by_message(payloads: list[Payload]) -> None:
    """Joined frames are the same messages in the same order."""
    seen = [Payload(bytes(one.data), one.opcode is Opcode.BINARY) for one in read(Batch(payloads).frames)]
    assert seen == payloads


@given(st.lists(PAYLOADS, max_size=8))
def test_asgi_messages_say_the_same_as_the_frames(payloads: list[Payload]) -> None:
    """A client cannot tell which of the two forms of a batch reached it."""
    said = [
        Payload(m["bytes"], True) if "bytes" in m else Payload(m["text"].encode(), False) for m in Batch(payloads).asgi
    ]
    assert said == payloads


@given(st.lists(PAYLOADS, max_size=8))
def test_compressed_frames_say_the_same_each_by_itself(payloads: list[Payload]) -> None:
    """Whoever reads one needs none of those before it."""
    for payload in payloads:
        deflate = PerMessageDeflate(True, True, 15, 15)
        (one,) = read(deflated_frame(payload), deflate)
        assert Payload(bytes(one.data), one.opcode is Opcode.BINARY) == payload


def test_only_messages_of_some_length_are_compressed() -> None:
    short, long = Payload(b"x" * 99), Payload(b"x" * 100)
    assert Batch([short, long]).deflated(100) == frame(short) + deflated_frame(long)


def test_the_forms_of_a_batch_are_made_once() -> None:
    """However many members a batch is written to, it is the same bytes object."""
    batch = Batch([Payload(b"a"), Payload(b"b")])
    assert batch.frames is batch.frames
    assert batch.asgi is batch.asgi
    assert batch.size == 2
