"""What is to be done once for all that happens together: in one turn of the event loop, or in one read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger("chat.turn")


class Turn:
    """Calls what it is given when the turn ends: when whoever began it ends it, else in the loop's next one."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._begun = False

    def at_end(self, call: Callable[[], None]) -> None:
        """Have it called, soon."""
        if not self._calls and not self._begun:
            asyncio.get_running_loop().call_soon(self.end)
        self._calls.append(call)

    def begin(self) -> None:
        """Say that `end` will be called in this turn."""
        self._begun = True

    def end(self) -> None:
        """Make the calls, in the order in which they were given."""
        self._begun = False
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call()
            except Exception:
                logger.exception("something that was due could not be done")
