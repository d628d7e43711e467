"""What a room's members were told that is in no log."""

from __future__ import annotations

from dataclasses import dataclass

from chat.protocol import Presence, Status, User


@dataclass(frozen=True, slots=True)
class Told:
    """Whether the broker is away, who is here, and how many they are."""

    degraded: bool
    people: dict[str, User]
    count: int

    def since(self, before: Told) -> list[Status | Presence]:
        """Return what tells a member of all that, who was told only as much as `before`."""
        items: list[Status | Presence] = []
        if self.degraded != before.degraded:
            items.append(Status("degraded" if self.degraded else "ok"))
        joined = [user for id, user in self.people.items() if before.people.get(id) != user]
        left = [user for id, user in before.people.items() if id not in self.people] if self.people else []
        if joined or left or self.count != before.count:
            items.append(Presence(joined, left, self.count))
        return items
