"""RFC 6455, section by section, in the manner of the Autobahn fuzzing client: what a server answers to which bytes.

Each case is played to the echo at `/ws` and to a room, on `chat serve` and on plain uvicorn. Somebody else is in the
room all the while, and chats on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.security.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    LOST,
    PING,
    PONG,
    TEXT,
    Received,
    close,
    connected,
    frame,
    handshake,
    opened,
)
from tests.servers import ChatServer

GREEK = "Hello-µ@ßöäüàá-UTF-8!!"
BYTES = bytes(range(256)) * 257


class Case(NamedTuple):
    """What is sent, in one go, and what comes of it: answers, then the close by this code. None: it stays open."""

    sent: bytes
    answers: list[tuple[int, str | bytes]]
    code: int | None = None


def said(text: str) -> tuple[int, str]:
    return TEXT, text


def echoed(text: str) -> Case:
    return Case(frame(TEXT, text.encode()), [said(text)])


def refused(sent: bytes, code: int = 1002, *answers: tuple[int, str | bytes]) -> Case:
    return Case(sent, list(answers), code)


def pieces(*payloads: bytes, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """Return one message in so many frames."""
    first, *middle, last = payloads
    frames = [
        frame(opcode, first, fin=False),
        *(frame(CONTINUATION, piece, fin=False) for piece in middle),
        frame(CONTINUATION, last),
    ]
    return between.join(frames)


HELLO = frame(TEXT, b"hello")

FRAMING = {
    **{f"text of {n}": echoed("*" * n) for n in (0, 125, 126, 127, 128, 65535, 65536)},
    **{
        f"binary of {n}": Case(frame(BINARY, BYTES[:n]), [(BINARY, BYTES[:n])])
        for n in (0, 125, 126, 127, 128, 65535, 65536)
    },
    "two at once": Case(HELLO + frame(TEXT, b"again"), [said("hello"), said("again")]),
    "fifty at once": Case(b"".join(frame(TEXT, str(n).encode()) for n in range(50)), [said(str(n)) for n in range(50)]),
    "a length in more bytes than it needs": Case(b"\x81\xfe\x00\x02" + b"\0\0\0\0hi", [said("hi")]),
    "without a mask": refused(frame(TEXT, b"hello", mask=False)),
    "a ping without a mask": refused(frame(PING, b"hello", mask=False)),
    "a mask of zeros": Case(b"\x81\x85\0\0\0\0hello", [said("hello")]),
}

PINGS = {
    "empty": Case(frame(PING), [(PONG, b"")]),
    "with text": Case(frame(PING, b"hello"), [(PONG, b"hello")]),
    "with bytes": Case(frame(PING, b"\x00\xff\xfe\xfd"), [(PONG, b"\x00\xff\xfe\xfd")]),
    "of 125 bytes": Case(frame(PING, b"\xfe" * 125), [(PONG, b"\xfe" * 125)]),
    "of 126 bytes": refused(frame(PING, b"\xfe" * 126)),
    "ten": Case(b"".join(frame(PING, b"%d" % n) for n in range(10)), [(PONG, b"%d" % n) for n in range(10)]),
    "a pong that nobody asked for": Case(frame(PONG), []),
    "a pong with a payload that nobody asked for": Case(
        frame(PONG, b"unsolicited") + frame(PING, b"p"), [(PONG, b"p")]
    ),
    "a pong of 126 bytes": refused(frame(PONG, b"\xfe" * 126)),
}

RESERVED = {
    **{
        f"bits {bits:03b} in text": refused(HELLO + frame(TEXT, b"x", reserved=bits), 1002, said("hello"))
        for bits in range(1, 8)
    },
    **{f"bits {bits:03b} in a ping": refused(frame(PING, reserved=bits)) for bits in (1, 4, 7)},
    **{f"bits {bits:03b} in a close": refused(frame(CLOSE, reserved=bits)) for bits in (1, 4, 7)},
    **{
        f"opcode {opcode:X}": refused(HELLO + frame(opcode), 1002, said("hello"))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    **{f"opcode {opcode:X} with a payload": refused(frame(opcode, b"hello")) for opcode in (3, 7, 11, 15)},
}

FRAGMENTS = {
    "two": Case(pieces(b"frag", b"ments"), [said("fragments")]),
    "one byte each": Case(pieces(*[b"%c" % byte for byte in b"fragments"]), [said("fragments")]),
    "empty ones": Case(pieces(b"", b"", b"x", b""), [said("x")]),
    "all empty": Case(pieces(b"", b"", b""), [said("")]),
    "binary": Case(pieces(b"\x00", b"\xff", opcode=BINARY), [(BINARY, b"\x00\xff")]),
    "with pings in between": Case(
        pieces(b"a", b"b", b"c", between=frame(PING, b"p")), [(PONG, b"p"), (PONG, b"p"), said("abc")]
    ),
    "with pongs in between": Case(pieces(b"a", b"b", between=frame(PONG, b"p")), [said("ab")]),
    "a ping in pieces": refused(frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b")),
    "a pong in pieces": refused(frame(PONG, b"a", fin=False) + frame(CONTINUATION, b"b")),
    "a close in pieces": refused(frame(CLOSE, b"\x03", fin=False) + frame(CONTINUATION, b"\xe8")),
    "a continuation of nothing": refused(frame(CONTINUATION, b"x")),
    "a continuation of nothing, not final": refused(frame(CONTINUATION, b"x", fin=False)),
    "a continuation after the end": refused(pieces(b"a", b"b") + frame(CONTINUATION, b"c"), 1002, said("ab")),
    "text within text": refused(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b")),
    "binary within text": refused(frame(TEXT, b"a", fin=False) + frame(BINARY, b"b")),
    "text within text, not final": refused(frame(TEXT, b"a", fin=False) * 2),
    "a message, then another": Case(pieces(b"a", b"b") + pieces(b"c", b"d"), [said("ab"), said("cd")]),
}

SPLIT = "κόσμε🚀".encode()
UTF_8 = {
    "valid": echoed(GREEK),
    "valid, every byte a piece": Case(pieces(*[bytes([byte]) for byte in SPLIT]), [said("κόσμε🚀")]),
    "the last character there is": echoed("\U0010ffff"),
    "characters that are none": echoed("\ufffe\uffff\ufdd0"),
    "nul": echoed("\x00"),
    "byte order mark": echoed("\ufeff"),
    **{
        f"not valid: {name}": refused(frame(TEXT, b"kosme" + bad), 1007)
        for name, bad in {
            "a byte that never occurs": b"\xff",
            "a continuation byte alone": b"\x80",
            "cut off": b"\xe2\x82",
            "overlong": b"\xc0\xaf",
            "overlong in three": b"\xe0\x80\xaf",
            "overlong nul": b"\xc0\x80",
            "a surrogate": b"\xed\xa0\x80",
            "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
            "past the last character": b"\xf4\x90\x80\x80",
            "five bytes": b"\xf8\x88\x80\x80\x80",
        }.items()
    },
    "not valid, over two pieces": refused(pieces(SPLIT[:4] + b"\xed", b"\xa0\x80" + SPLIT), 1007),
    "not valid, in the last piece": refused(pieces(SPLIT, b"\xff"), 1007),
    "not complete at the end": refused(pieces(SPLIT, b"\xce"), 1007),
    "in binary anything goes": Case(frame(BINARY, b"\xff\x80"), [(BINARY, b"\xff\x80")]),
    "in a ping anything goes": Case(frame(PING, b"\xff\x80"), [(PONG, b"\xff\x80")]),
}

GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
CLOSING = {
    "empty": refused(close(), 1005),
    "half a code": refused(frame(CLOSE, b"\x03"), 1002),
    **{f"code {code}": refused(close(code), code) for code in GOOD_CODES},
    **{f"code {code} that nobody may send": refused(close(code), 1002) for code in BAD_CODES},
    "a reason": refused(close(1000, GREEK), 1000),
    "a reason of 123 bytes": refused(close(1000, "x" * 123), 1000),
    "a reason of 124 bytes": refused(close(1000, "x" * 124), 1002),
    "a reason that is no UTF-8": refused(close(1000, b"\xce\xba\xe1\xbd"), 1007),
    "twice": refused(close(1000) + close(1001), 1000),
    "then a ping": refused(close(1000) + frame(PING, b"late"), 1000),
    "then text": refused(HELLO + close(1000) + frame(TEXT, b"late"), 1000, said("hello")),
    "then nonsense": refused(close(1000) + b"\xff" * 1000, 1000),
    "after text": refused(HELLO + close(1000), 1000, said("hello")),
    "within a message (7.1.5 of Autobahn)": refused(
        frame(TEXT, b"a", fin=False) + close(1000) + frame(CONTINUATION, b"b"), 1000
    ),
}

LIMITS = {
    "one byte more": refused(frame(BINARY, BYTES[:65537]), 4413),
    "one byte more, in pieces": refused(pieces(BYTES[:65536], b"x", opcode=BINARY), 4413),
    "the limit, in pieces": Case(pieces(BYTES[:30000], BYTES[30000:65536], opcode=BINARY), [(BINARY, BYTES[:65536])]),
    "announced only": refused(frame(BINARY, b"", length=2**40), 4413),
    "the largest length there is": refused(frame(BINARY, b"", length=2**63 - 1), 4413),
    "a length with its first bit set": refused(frame(BINARY, b"", length=2**63), 4413),
    "4000 pieces of one byte": Case(pieces(*[b"x"] * 4000), [said("x" * 4000)]),
    "5000 pieces of nothing": refused(pieces(*[b""] * 5000), 4413),
}

CASES = {
    f"{section}: {name}": case
    for section, cases in {
        "framing": FRAMING,
        "pings": PINGS,
        "reserved": RESERVED,
        "fragments": FRAGMENTS,
        "utf-8": UTF_8,
        "closing": CLOSING,
        "limits": LIMITS,
    }.items()
    for name, case in cases.items()
}


# What plain uvicorn answers otherwise, by case, and what it does not answer at all.
OTHERWISE = {
    "closing: within a message (7.1.5 of Autobahn)": "websockets answers 1002",
    "limits: announced only": "its code is 1009",
    "limits: the largest length there is": "its code is 1009",
    "limits: a length with its first bit set": "its code is 1009",
}
NOT_AT_ALL = {
    "limits: one byte more": "its limit is 16 MiB",
    "limits: one byte more, in pieces": "its limit is 16 MiB",
    "limits: 5000 pieces of nothing": "it counts no pieces",
}


class Place(NamedTuple):
    """Where a case is played, and how messages are answered there."""

    path: str
    before: list[tuple[int, str | bytes]]
    form: str

    def answers(self, case: Case) -> list[Received]:
        """Return what is expected but for pongs, which overtake what the endpoint sends."""
        expected: list[tuple[int, str | bytes]] = []
        for opcode, payload in case.answers:
            if opcode == TEXT:
                expected += [*self.before, (TEXT, self.form.format(payload))]
            elif opcode == BINARY:
                expected += [*self.before, (BINARY, payload)]
        return [Received(opcode, p.encode() if isinstance(p, str) else p) for opcode, p in expected]


def echo(room: str) -> Place:
    return Place("/ws", [], "Message text was: {}")


def plain_text(room: str) -> Place:
    before = (TEXT, "Session cookie or query token value is: secret")
    return Place(f"/items/{room}/ws?token=secret", [before], f"Message text was: {{}}, for item ID: {room}")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("place", "parts"), [(echo, 1), (echo, 13), (plain_text, 1)], ids=["echo", "echo in segments", "room"]
)
async def test_a_server_answers_as_it_should(
    server: ChatServer,
    room: str,
    kind: str,
    place: Callable[[str], Place],
    parts: int,
    name: str,
    request: pytest.FixtureRequest,
) -> None:
    """By messages and pongs, then by the right close; sent at once, and chopped at odd places."""
    if kind == "uvicorn" and name in OTHERWISE:
        request.applymarker(pytest.mark.xfail(reason=f"plain uvicorn: {OTHERWISE[name]}", strict=parts == 1))
    if kind == "uvicorn" and name in NOT_AT_ALL and (place is echo or "pieces of nothing" in name):
        pytest.xfail(f"plain uvicorn: {NOT_AT_ALL[name]}")
    case, here = CASES[name], place(room)
    async with opened(server, here.path) as wire:
        await wire.send_chopped(case.sent, len(case.sent) // parts + 1)
        expected = here.answers(case)
        pongs = [Received(opcode, p) for opcode, p in case.answers if opcode == PONG and isinstance(p, bytes)]
        if case.code is None:
            came = [await wire.next() for _ in expected + pongs]
            wire.send(close(1000))
            rest, code, _ = await wire.rest()
            assert (rest, code) == ([], 1000)
            assert [answer for answer in came if answer.opcode == PONG] == pongs
            assert [answer for answer in came if answer.opcode != PONG] == expected
        else:
            came, code, _ = await wire.rest()
            # What is sent to who has closed is answered by a reset, which may overtake the close.
            assert code == case.code or (code == LOST and parts > 1)
            assert came == expected[: len(came)], "what came before the violation is answered in order, if at all"


def upgrade(**changed: str | None) -> bytes:
    return handshake("/ws", **changed)


GOOD = upgrade()
HANDSHAKES: dict[str, tuple[bytes, set[int]]] = {
    "as it should be": (GOOD, {101}),
    "version 8": (upgrade(sec_websocket_version="8"), {400, 426}),
    "version 0": (upgrade(sec_websocket_version="0"), {400, 426}),
    "two versions": (upgrade(sec_websocket_version="13, 8"), {400, 426}),
    "no version": (upgrade(sec_websocket_version=None), {400, 426}),
    "no key": (upgrade(sec_websocket_key=None), {400}),
    "a short key": (upgrade(sec_websocket_key="c2hvcnQ="), {400}),
    "a key that is no base64": (upgrade(sec_websocket_key="%%%%"), {400}),
    "two keys": (GOOD.replace(b"\r\n\r\n", b"\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), {400}),
    "another upgrade": (upgrade(upgrade="h2c"), {404}),
    "no upgrade": (upgrade(upgrade=None), {404}),
    "no connection header": (upgrade(connection=None), {404}),
    "a connection to be kept": (upgrade(connection="keep-alive"), {404}),
    "a list of connections": (upgrade(connection="keep-alive, Upgrade"), {101}),
    "no host": (upgrade(host=None), {400, 101}),
    "two hosts": (GOOD.replace(b"\r\n\r\n", b"\r\nhost: elsewhere\r\n\r\n"), {400}),
    "HTTP/1.0": (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), {400, 404, 426, 505}),
    "HTTP/2.0": (GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"), {400, 505}),
    "HTTP/9.9": (GOOD.replace(b"HTTP/1.1", b"HTTP/9.9"), {400, 505}),
    "POST": (GOOD.replace(b"GET", b"POST"), {400, 405}),
    "a method that is none": (GOOD.replace(b"GET", b"CHAT"), {400, 405}),
    "a body": (upgrade(content_length="5") + b"hello", {400, 101}),
    "a body in chunks": (upgrade(transfer_encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n", {400, 101}),
    "a line of 100 kB": (upgrade(x_long="x" * 100_000), {400, 431}),
    "an address of 100 kB": (handshake("/ws?" + "x" * 100_000), {400, 414, 431}),
    "a thousand headers": (upgrade(**{f"x_{n}": "x" for n in range(1000)}), {101, 400, 431}),
    "a line break in a value": (upgrade(x_bad="a\rb"), {400}),
    "a new line in a value": (upgrade(x_bad="a\nb"), {400}),
    "a folded line": (upgrade(x_bad="a\r\n b"), {400, 101}),
    "a nul in a value": (upgrade(x_bad="a\0b"), {400}),
    "a space before the colon": (GOOD.replace(b"upgrade:", b"upgrade :"), {400}),
    "a header without a name": (GOOD.replace(b"\r\n\r\n", b"\r\n: x\r\n\r\n"), {400}),
    "bytes above ASCII in a value": (GOOD.replace(b"\r\n\r\n", b"\r\nx-bad: \xff\xfe\r\n\r\n"), {101, 400}),
    "bytes above ASCII in the path": (GOOD.replace(b"/ws", b"/w\xff"), {400, 403, 404}),
    "bytes above ASCII in the query": (GOOD.replace(b"/ws", b"/ws?\xff"), {400, 101}),
    "a protocol that is not known": (handshake("/items/r/ws?token=t", sec_websocket_protocol="mqtt"), {422}),
    "a protocol with a line break, encoded": (
        handshake("/items/r/ws?token=t", sec_websocket_protocol="chat.v1%0d%0aSet-Cookie: a=b"),
        {400, 422},
    ),
    "a token with a line break": (handshake("/items/r/ws?token=%0d%0aSet-Cookie:%20a=b"), {101}),
    "an extension that is not known": (upgrade(sec_websocket_extensions="x-webkit-deflate-frame"), {101}),
    "an extension that cannot be read": (upgrade(sec_websocket_extensions='permessage-deflate; x="'), {101, 400}),
    "a path that climbs": (handshake("/../../etc/passwd"), {403, 404}),
    "no path": (GOOD.replace(b"/ws", b"*"), {400, 403, 404}),
    "an absolute address": (GOOD.replace(b"/ws", b"http://elsewhere/ws"), {101, 400, 403}),
    "nothing like HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n", {400, 0}),
}


TAKEN_BY_PLAIN_UVICORN = {"two hosts", "HTTP/1.0", "HTTP/2.0"}
FORGOTTEN_BY_PLAIN_UVICORN = {
    "a body",
    "a body in chunks",
    "a line of 100 kB",
    "an address of 100 kB",
    "a thousand headers",
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_handshake_is_answered_by_a_status(
    server: ChatServer, kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """One that says what is wrong; nothing of it gets into another header, and nothing breaks."""
    if kind == "uvicorn" and name in TAKEN_BY_PLAIN_UVICORN:
        request.applymarker(pytest.mark.xfail(reason="plain uvicorn writes every handshake down again as HTTP/1.1"))
    if kind == "uvicorn" and name in FORGOTTEN_BY_PLAIN_UVICORN:
        pytest.xfail("plain uvicorn 0.54 neither answers nor ends what websockets cannot read")
    sent, expected = HANDSHAKES[name]
    async with connected(server) as wire:
        wire.send(sent)
        status, headers = await wire.head()
        assert status in expected
        assert "set-cookie" not in headers
        assert "sec-websocket-extensions" not in headers or name == "as it should be"


async def test_what_comes_right_behind_the_handshake_does_no_harm(server: ChatServer) -> None:
    """A client has to wait for the answer; frames of one that does not are taken or lost, but nothing breaks."""
    async with connected(server) as wire:
        wire.send(GOOD + HELLO + close(1000))
        status, _ = await wire.head()
        assert status == 101
        wire.send(close(1000))
        _, code, _ = await wire.rest()
        assert code == 1000


async def test_who_does_not_wait_for_the_answer_may_be_cut_off(server: ChatServer, kind: str) -> None:
    """Without a word in the log, however little of what it sends makes sense."""
    if kind == "uvicorn":
        pytest.xfail("plain uvicorn 0.54 writes a traceback")
    for _ in range(20):
        async with connected(server) as wire:
            wire.send(GOOD, HELLO[:3])
            for _ in range(10):
                wire.send(b"\xff" * 1000)
                await asyncio.sleep(0)
            await wire.head()


@pytest.mark.parametrize("sent", [HELLO[:1], HELLO[:4], HELLO[:-1], frame(TEXT, b"a", fin=False)])
async def test_who_leaves_in_the_middle_of_a_frame_is_gone(server: ChatServer, room: str, sent: bytes) -> None:
    async with opened(server, f"/items/{room}/ws?token=t") as wire:
        wire.send(sent)
        wire.writer.write_eof()
        _, code, _ = await wire.rest()
        assert code in {LOST, 1002}
