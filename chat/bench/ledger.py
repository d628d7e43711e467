"""What the members of one room got, and what is wrong with it; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from chat.bench.wire import Entry


@dataclass(frozen=True)
class Verdict:
    """What went wrong, in deliveries: each is one message and one member."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.lost + other.lost, self.doubled + other.doubled, self.reordered + other.reordered)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.reordered)


class Ledger:
    """A room's messages as the first to get them did. Whoever sees the same needs no list of its own."""

    def __init__(self) -> None:
        self.order: list[Entry] = []

    def fits(self, got: int, entries: list[Entry]) -> bool:
        """Take down what a member gets after its first `got` messages; false if it is not what others got there."""
        known = self.order[got : got + len(entries)]
        if entries[: len(known)] != known:
            return False
        self.order += entries[len(known) :]
        return True

    def judge(
        self, *, kept: Iterable[int], strayed: Iterable[Sequence[Entry]], expected: Collection[int], offsets: bool
    ) -> Verdict:
        """Return what went wrong.

        `kept`: how many messages each member got that saw them in this order; `strayed`: all that each other one got.
        Everybody should have got the messages whose numbers are `expected`, and whatever anybody else got. With
        `offsets`, the order is theirs, and there are no holes between them.
        """
        strayed = list(strayed)
        everything = {number for stream in (self.order, *strayed) for _, number in stream} | set(expected)
        ranks = {number: place for place, (_, number) in enumerate(self.order)}
        numbers = dict(self.order) if offsets else {}
        verdicts: dict[int, Verdict] = {}  # by how much of the order was seen: most have seen the same

        def verdict(stream: Sequence[Entry]) -> Verdict:
            return _verdict(stream, everything, ranks=ranks, numbers=numbers)

        total = sum((verdict(stream) for stream in strayed), Verdict())
        for got in kept:
            if got not in verdicts:
                verdicts[got] = verdict(self.order[:got])
            total += verdicts[got]
        return total


def _verdict(
    stream: Sequence[Entry], everything: set[int], *, ranks: dict[int, int], numbers: dict[int, int]
) -> Verdict:
    """Return what is wrong with one member's messages; `numbers`: by offset, empty if there are none."""
    seen: set[int] = set()
    doubled = reordered = 0
    newest = -1
    for offset, number in stream:
        place = offset if numbers else ranks.get(number, newest + 1)
        if number in seen:
            doubled += 1
        elif place <= newest or numbers.get(offset, number) != number:
            reordered += 1
        seen.add(number)
        newest = max(newest, place)
    return Verdict(max(len(everything - seen), _holes(stream) if numbers else 0), doubled, reordered)


def _holes(stream: Sequence[Entry]) -> int:
    offsets = {offset for offset, _ in stream}
    return max(offsets) - min(offsets) + 1 - len(offsets) if offsets else 0
