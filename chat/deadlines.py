"""One timer for all who have the same time for something."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Who = TypeVar("Who")


class Deadlines(Generic[Who]):
    """Calls `late` with whoever has waited for so many seconds; with 0 seconds, with nobody. In one event loop.

    A timer for each connection would cost more than all else that is to be done for it meanwhile.
    """

    def __init__(self, seconds: float, late: Callable[[Who], None]) -> None:
        self._seconds = seconds
        self._late = late
        # Since when each waits, the oldest first. In a dict the first is found slowly where many have been taken out.
        self._since: OrderedDict[Who, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def shared(cls, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[Who], None]) -> Deadlines[Who]:
        """Return the one of an event loop for that time and that call."""
        if loop not in _everywhere:
            for ended in [other for other in _everywhere if other.is_closed()]:
                del _everywhere[ended]
            _everywhere[loop] = {}
        here = _everywhere[loop]
        if (seconds, late) not in here:
            here[seconds, late] = cls(seconds, late)
        return here[seconds, late]

    def begin(self, who: Who) -> None:
        """Wait, unless it is waited for already."""
        if self._seconds and who not in self._since:
            loop = asyncio.get_running_loop()
            self._since[who] = now = loop.time()
            if self._timer is None:
                self._timer = loop.call_at(now + self._seconds, self._look)

    def end(self, who: Who) -> None:
        """Wait no more."""
        self._since.pop(who, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        try:
            while self._since:
                who, since = next(iter(self._since.items()))
                if since + self._seconds > now:
                    break
                del self._since[who]
                self._late(who)
        finally:  # only now: whoever began again meanwhile needs no timer of its own
            self._timer = None
            if self._since:
                self._timer = loop.call_at(next(iter(self._since.values())) + self._seconds, self._look)


_everywhere: dict[asyncio.AbstractEventLoop, dict[tuple[float, Any], Deadlines[Any]]] = {}  # by loop, seconds and call
