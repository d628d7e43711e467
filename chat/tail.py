"""The newest stretch of one room's log, kept on the worker once for all members, bounded; pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

from chat.events import Publication


class Tail:
    """Publications without a hole, from just after `start` up to `end`.

    So that joining, resuming and catching up ask the broker only for what is older.
    """

    def __init__(self, *, end: int, limit: int, count: int) -> None:
        self.start = end  # the offset just before the oldest that is kept
        self.end = end  # the newest offset; the same as `start` while nothing is kept
        self._limit = limit  # bytes of body
        self._count = count  # publications: no more than the log keeps, so that every worker knows the same
        self._size = 0
        self._kept: deque[Publication] = deque()

    def append(self, publication: Publication) -> None:
        """Take the next one, letting go of the oldest when the limit is passed."""
        if publication.offset != self.end + 1:
            raise ValueError(f"offset {self.end + 1} was expected, {publication.offset} came")
        self.end = publication.offset
        self._kept.append(publication)
        self._size += len(publication.body)
        while self._size > self._limit or len(self._kept) > self._count:
            self._size -= len(self._kept.popleft().body)
            self.start += 1

    def after(self, offset: int, *, limit: int) -> list[Publication] | None:
        """Return up to `limit` publications that follow `offset`, or None if it lies before the tail."""
        if offset < self.start:
            return None
        skipped = offset - self.start
        return list(islice(self._kept, skipped, skipped + limit))
