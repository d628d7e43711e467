"""The broker inside one process: what it keeps, and for how long."""

from __future__ import annotations

from chat.broker.memory import SWEEP_EVERY, UNUSED_FOR, MemoryBroker
from chat.protocol import body, encode
from chat.settings import Settings
from tests.publications import ADA


class Clock:
    """Stands still until it is set."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def ask_for_rooms(broker: MemoryBroker, name: str) -> None:
    """Ask for so many rooms that nobody has ever been in that it is time to look for what can be forgotten."""
    for number in range(SWEEP_EVERY):
        await broker.history(f"{name}-{number}")


async def test_a_room_that_was_only_asked_for_is_forgotten() -> None:
    """Whoever asks for one room after the other does not fill the memory."""
    clock = Clock()
    broker = MemoryBroker(Settings.load(broker_url="memory://"), clock=clock)
    for number in range(5):
        await ask_for_rooms(broker, f"round-{number}")
        clock.now += UNUSED_FOR
    assert len(broker._logs) <= 2 * SWEEP_EVERY


async def test_a_room_is_not_forgotten_while_it_is_of_use() -> None:
    """Somebody is in it, or something was said, or it was asked for just now: its epoch stays."""
    clock = Clock()
    broker = MemoryBroker(Settings.load(broker_url="memory://"), clock=clock)
    await broker.connect()
    said = await broker.publish("said", encode(body(ADA, "hello")))
    async with broker.subscribe("heard", lambda event: None):  # for longer than an unused room is kept
        heard = await broker.position("heard")
        for number in range(3):
            clock.now += UNUSED_FOR
            asked = await broker.position(f"asked-{number}")
            await ask_for_rooms(broker, f"round-{number}")
            assert await broker.position(f"asked-{number}") == asked
    clock.now += UNUSED_FOR / 2
    await ask_for_rooms(broker, "last")
    assert await broker.position("heard") == heard
    assert await broker.position("said") == (said.epoch, said.offset)
    await broker.disconnect()
