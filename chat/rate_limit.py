"""A token bucket; pure."""

from __future__ import annotations

PATIENCE = 5  # bursts that may be refused before a client counts as one that does not listen


class TokenBucket:
    """Lets through `rate` per second, and up to `burst` at once; time is what the caller says it is."""

    __slots__ = ("_at", "_burst", "_left", "_promised", "_rate")

    def __init__(self, rate: float, burst: float, *, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now
        self._promised = now  # up to when all that will come in is promised to those who were refused

    def take(self, now: float) -> float:
        """Take one and return 0, or return after how many seconds to try again: everybody at a time of its own."""
        self._left = min(self._left + (now - self._at) * self._rate, self._burst)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        at = max(self._promised, now + (1 - self._left) / self._rate)
        self._promised = at + 1 / self._rate
        return at - now


class RateLimit:
    """What one connection may send: refused commands have a limit of their own, and then it is over."""

    __slots__ = ("_commands", "_refusals")

    def __init__(self, rate: float, burst: float, *, now: float) -> None:
        self._commands = TokenBucket(rate, burst, now=now)
        self._refusals = TokenBucket(rate, PATIENCE * burst, now=now)

    def take(self, now: float) -> float | None:
        """Return 0 for a command that may be carried out, else the seconds to wait; None if it was told too often."""
        wait = self._commands.take(now)
        if wait and self._refusals.take(now):
            return None
        return wait
