"""What is due to a room's members: written together, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from chat.broker.memory import MemoryBroker
from chat.codec import Raw
from chat.connection import Connection
from chat.delivery import BREATH, MANY
from chat.frames import Batch
from chat.protocol import User
from chat.room import Room
from chat.settings import Settings
from chat.transport import Listener, Take
from tests.publications import publication
from tests.servers import until

COST = 0.0002  # seconds that a write takes


class Socket:
    """Takes its time for each write, as the kernel does, and notes when it was done."""

    paused = False
    compress_from = 0

    def __init__(self) -> None:
        self.cost = COST
        self.written: list[bytes] = []
        self.when: list[float] = []

    @property
    def write_frames(self) -> Callable[[bytes], None]:
        return self._write

    def _write(self, frames: bytes) -> None:
        self.when.append(time.monotonic())
        while time.monotonic() < self.when[-1] + self.cost:
            pass
        self.written.append(frames)

    def hold(self) -> None:
        pass

    def attach(self, listener: Listener, *, limit: int) -> None:
        pass

    def write(self, batch: Batch) -> None:
        self._write(batch.frames)

    def waiting(self) -> int:
        return 0

    def hand_over(self, take: Take) -> bool:
        return False

    def listen(self, on: bool) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass

    async def closed(self) -> None:
        pass


async def room_of(count: int) -> tuple[Room, list[Socket]]:
    """Return an open room with so many live members, to whom nothing was written yet."""
    settings = Settings.load(broker_url="memory://")
    room = Room("r", MemoryBroker(settings), worker="w", settings=settings, own=list, spawn=asyncio.ensure_future)
    await room.open()
    sockets = [Socket() for _ in range(count)]
    start = await room.start(None)
    for number, socket in enumerate(sockets):
        user = User(id=str(number), name=str(number))
        room.join(
            Connection(
                f"w-{number}",
                user,
                home=room,
                codec=Raw(),
                transport=socket,
                receive=asyncio.sleep,  # type: ignore[arg-type]
                stopping=lambda connection: None,
            ),
            start,
        )
    return room, sockets


def say(room: Room, offset: int) -> None:
    room.take(publication(offset, epoch=room.feed.position.epoch, text=f"<{offset}>"))


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_due_in_one_turn_is_written_once_to_each() -> None:
    """In a small room at the end of the turn."""
    room, sockets = await room_of(5)
    say(room, 1)
    say(room, 2)
    assert not sockets[0].written
    await turn()
    say(room, 3)
    await turn()
    for socket in sockets:
        assert socket.written == [b"\x81\x03<1>\x81\x03<2>", b"\x81\x03<3>"]


async def test_a_large_room_takes_a_breath_after_a_write_to_all() -> None:
    """What comes meanwhile leaves together, after a quarter of the time that the write before took."""
    room, sockets = await room_of(MANY)
    say(room, 1)
    await turn()
    ended = time.monotonic()
    say(room, 2)
    await turn()
    say(room, 3)
    await until(lambda: len(sockets[-1].written) == 2, "the next is written")
    for socket in sockets:
        assert socket.written == [b"\x81\x03<1>", b"\x81\x03<2>\x81\x03<3>"]
    took = sockets[-1].when[0] + COST - sockets[0].when[0]
    assert sockets[0].when[1] >= ended - COST + took * BREATH * 0.5


async def test_a_breath_is_short_whatever_held_up_the_write_before() -> None:
    """The machine may have stood still meanwhile."""
    room, sockets = await room_of(MANY)
    sockets[-1].cost = 1.0
    say(room, 1)
    await turn()
    ended = time.monotonic()
    say(room, 2)
    await until(lambda: sockets[0].when[1:] != [], "the next is written")
    assert sockets[0].when[1] - ended < 0.5 * BREATH


async def test_a_large_room_that_has_rested_does_not_wait() -> None:
    """A message that comes alone leaves at once."""
    room, sockets = await room_of(MANY)
    say(room, 1)
    await turn()
    await asyncio.sleep(MANY * COST * BREATH * 4)
    say(room, 2)
    await turn()
    assert len(sockets[-1].written) == 2
