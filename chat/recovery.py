"""Where a publication belongs in what a reader has already seen; pure.

A reader's position only ever moves over publications in their order, one by one. So a hole cannot be stepped over,
and nothing is seen twice, whichever of log and live traffic brings it first.
"""

from __future__ import annotations

import enum

from chat.events import Page, Position, Publication
from chat.protocol import Gap


class Place(enum.Enum):
    """Where a publication stands, seen from a position."""

    NEXT = "next"  # follows at once
    SEEN = "seen"  # came before
    AHEAD = "ahead"  # others are missing in between
    ELSEWHERE = "elsewhere"  # the log it belongs to is another one


def place(position: Position, publication: Publication) -> Place:
    """Return where `publication` stands for a reader at `position`."""
    epoch, offset = position
    if publication.epoch != epoch:
        return Place.ELSEWHERE
    if publication.offset == offset + 1:
        return Place.NEXT
    return Place.SEEN if publication.offset <= offset else Place.AHEAD


def gap(position: Position, page: Page) -> Gap | None:
    """Return what a reader at `position`, who reads on with `page`, can never get; None if nothing is missing.

    `page` is the oldest that the log has after the position's offset; of another epoch, the oldest of all.
    """
    epoch, newest = page.position
    first = page.publications[0].offset if page.publications else newest + 1
    if epoch != position.epoch:
        return Gap(after=position.offset, before=first, reason="epoch", epoch=epoch)
    if first > position.offset + 1:
        return Gap(after=position.offset, before=first, reason="trimmed", epoch=epoch)
    return None


def following(position: Position, page: Page, *, end: int) -> list[Publication]:
    """Return what of `page` follows `position` without a hole, up to offset `end`."""
    found: list[Publication] = []
    for publication in page.publications:
        if place(position, publication) is Place.NEXT and publication.offset <= end:
            found.append(publication)
            position = Position(publication.epoch, publication.offset)
    return found
