"""What a credential allows in which rooms; pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_PATTERNS = 100  # in one credential


class Action(enum.StrEnum):
    """What can be allowed in a room."""

    SUBSCRIBE = "subscribe"  # be a member, read what was said, see who is here
    PUBLISH = "publish"  # say something, show that one is writing


@dataclass(frozen=True, slots=True)
class Rights:
    """Room patterns, each with the actions that it allows; None: everything everywhere.

    In a pattern `*` stands for any characters, also none; all others stand for themselves.
    """

    grants: tuple[tuple[str, frozenset[Action]], ...] | None = None

    def allow(self, room: str, action: Action) -> bool:
        """Whether some pattern that fits the room allows the action."""
        if self.grants is None:
            return True
        return any(action in actions and matches(pattern, room) for pattern, actions in self.grants)

    def within(self, room: str) -> Rights:
        """Return what is left of them if they are to be good for one room only."""
        return Rights(((room, frozenset(action for action in Action if self.allow(room, action))),))

    @classmethod
    def parse(cls, claim: Any) -> Rights:
        """Read the claim `rooms`: a list of patterns that allow both, or an object of pattern to list of actions.

        Without the claim everything is allowed. Raises `ValueError`.
        """
        if claim is None:
            return EVERYTHING
        if isinstance(claim, list):
            claim = {pattern: list(Action) for pattern in claim} if all(isinstance(p, str) for p in claim) else None
        if not isinstance(claim, Mapping) or len(claim) > MAX_PATTERNS:
            raise ValueError(f"rooms is a list of at most {MAX_PATTERNS} patterns, or an object of pattern to actions")
        grants = []
        for pattern, actions in claim.items():
            if not isinstance(actions, list) or not all(action in ("subscribe", "publish") for action in actions):
                raise ValueError("what a pattern in rooms allows is a list of publish and subscribe")
            grants.append((pattern, frozenset(Action(action) for action in actions)))
        return cls(tuple(grants))

    def claim(self) -> dict[str, list[str]] | None:
        """Return them as the claim `rooms`."""
        if self.grants is None:
            return None
        return {pattern: sorted(actions) for pattern, actions in self.grants}


EVERYTHING = Rights()


def matches(pattern: str, room: str) -> bool:
    """Whether a pattern fits a room, in a time that grows with their lengths only."""
    first, *rest = pattern.split("*")
    if not rest:
        return room == pattern
    if not room.startswith(first):
        return False
    position = len(first)
    for piece in rest[:-1]:
        position = room.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return len(room) - len(rest[-1]) >= position and room.endswith(rest[-1])
