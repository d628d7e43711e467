"""Clients that do not keep to RFC 6455 are closed by its codes; nobody else notices, and the log stays quiet."""

from __future__ import annotations

import struct

import pytest
from websockets.frames import Frame, Opcode

from tests.members import Member, join
from tests.servers import ChatServer

TEXT, CONTINUATION, PING = Opcode.TEXT, Opcode.CONT, Opcode.PING


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=mask)


VIOLATIONS = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "text that ends within a character": (frame(TEXT, '{"type":"é'.encode()[:-1]), 1007),
    "a frame without a mask": (frame(TEXT, b"{}", mask=False), 1002),
    "a bit that is reserved": (b"\xc1\x80\x00\x00\x00\x00", 1002),
    "an opcode that is reserved": (b"\x83\x80\x00\x00\x00\x00", 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"{}"), 1002),
    "a message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "a ping in pieces": (frame(Opcode.TEXT, b"{", fin=False) + b"\x09\x80\x00\x00\x00\x00", 1002),
    "a close with half a code": (b"\x88\x81\x00\x00\x00\x00\x03", 1002),
}


async def closed_after(member: Member, data: bytes) -> int:
    member.socket.transport.write(data)
    return (await member.closed())[0]


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_is_closed_by_its_code(server: ChatServer, room: str, name: str) -> None:
    """And the others in the room go on."""
    data, code = VIOLATIONS[name]
    async with join(server, room) as ada:
        async with join(server, room, token="secret-2") as mallory:
            assert await closed_after(mallory, data) == code
        assert (await ada.say("on we go"))["offset"] == 1


async def test_the_limit_counts_all_pieces_of_a_message(server: ChatServer, room: str) -> None:
    """A large message in small pieces is as large."""
    pieces = frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 1000, fin=False) * 80
    async with join(server, room) as mallory:
        assert await closed_after(mallory, pieces + frame(CONTINUATION, b"")) == 4413


async def test_a_length_that_is_only_announced_is_not_waited_for(server: ChatServer, room: str) -> None:
    """Two to the power of forty bytes are refused before they are sent; plain uvicorn's limit is its own, 16 MiB."""
    announced = b"\x81" + bytes((0x80 | 127,)) + struct.pack("!Q", 2**40) + b"\x00" * 4
    async with join(server, room) as mallory:
        assert await closed_after(mallory, announced) in {4413, 1009}


async def test_pieces_make_a_message(server: ChatServer, room: str) -> None:
    """With a ping in between, as is allowed."""
    async with join(server, room) as ada:
        pieces = [
            frame(TEXT, b'{"type":"publish",', fin=False),
            frame(PING, b"p"),
            frame(CONTINUATION, b'"text":"hel', fin=False),
            frame(CONTINUATION, b'lo"}'),
        ]
        ada.socket.transport.write(b"".join(pieces))
        assert (await ada.event("message"))["text"] == "hello"
