"""One room under load: says messages, keeps as many under way as it should, and knows when everybody has them."""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from collections.abc import Callable

from chat.bench import wire
from chat.bench.dialect import Dialect
from chat.bench.ledger import Ledger, Verdict
from chat.bench.member import Member

SPEAKERS = 8  # members who take turns


class Room:
    """The members of one room, and the messages under way between them."""

    def __init__(self, name: str, dialect: Dialect, *, size: int) -> None:
        self.name = name
        self.dialect = dialect
        self.members: list[Member] = []
        self.ledger = Ledger()
        self.piece = wire.Piece(b"")  # what somebody got last; most likely the next one gets the same
        self.due = sys.maxsize  # the message, counted from 1, that not everybody has yet
        self.lacking = 0  # members who have not got it
        self.sent_at: list[float] = []  # by message number
        self.acknowledged: set[int] = set()
        self.latencies = array("d")  # seconds, of the members whose latencies are kept
        self.quiet = asyncio.Event()  # everything that was sent is with everybody, and nothing more will be sent
        self.gaps = 0  # announcements that messages cannot be delivered
        self.unavailable = 0  # answers that the broker is away
        self.limits: dict[str, int] = {}  # as the server told them
        self.parted: Callable[[Member, Exception], None] = lambda member, error: None
        self.failed: Callable[[Exception], None] = lambda error: None
        self.then: Callable[[], None] | None = None  # what follows when everything is with everybody
        self._size = size
        self._window = 0
        self._until = 0.0

    def read(self, data: bytes) -> wire.Piece:
        """Return what is in bytes that one member got; the next one is likely to get the same."""
        piece = self.piece = wire.read(data, self.dialect.message)
        known = len(self.sent_at)
        piece.entries = [entry for entry in piece.entries if entry[1] < known]  # others may speak here, too
        piece.sent = [self.sent_at[number] for _, number in piece.entries]
        return piece

    def say(self) -> None:
        """Send one message, each time from another member."""
        number = len(self.sent_at)
        speaker = self.members[number % min(SPEAKERS, len(self.members))]
        payload = self.dialect.wrap(self.name, wire.text_of(number, self._size), number)
        self.sent_at.append(time.perf_counter())
        speaker.say(number, payload)

    def start(self, window: int, *, until: float) -> None:
        """Keep `window` messages under way until that time."""
        self._window = window
        self._until = until
        self.quiet.clear()
        self.advance()

    def say_one(self) -> None:
        """Say one message; `then` follows when everybody has it."""
        self.quiet.clear()
        self.say()
        self.advance()

    def advance(self) -> None:
        """Send as many as have arrived; a message has arrived when everybody has it."""
        counts = [member.got for member in self.members]
        arrived = min(counts)
        if time.perf_counter() < self._until:
            while len(self.sent_at) - arrived < self._window:
                self.say()
        self.due = arrived + 1
        self.lacking = counts.count(arrived)
        if arrived >= len(self.sent_at):
            self.quiet.set()
            if self.then is not None:
                self.then()

    def stop(self) -> None:
        """Say nothing more."""
        self._until = 0.0
        self.then = None

    def delivered(self) -> int:
        """Return how many messages came, each counted once for every member that got it."""
        return sum([member.got for member in self.members])

    def judge(self) -> Verdict:
        """Return what was lost, doubled or reordered, over all members."""
        told = self.dialect.message is not None
        return self.ledger.judge(
            kept=[member.got for member in self.members if member.strayed is None],
            strayed=[member.strayed for member in self.members if member.strayed is not None],
            # What was neither acknowledged nor heard by anybody may not have been sent at all.
            expected=self.acknowledged if told else range(len(self.sent_at)),
            offsets=told,
        )
