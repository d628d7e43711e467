"""What a room's members were told that is in no log."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chat.protocol import LISTED_MEMBERS, Presence, Status, User
from chat.roster import Roster


@dataclass(frozen=True, slots=True)
class Told:
    """Whether the broker is away, who is here, and how many they are."""

    degraded: bool
    people: dict[str, User]  # by id; empty in a room that is too large to be listed
    count: int

    @classmethod
    def of(cls, roster: Roster, *, degraded: bool) -> Told:
        """Return what there is to tell."""
        return cls(degraded, {user.id: user for user in roster.listed()}, roster.count)

    def after(self, item: object) -> Told:
        """Return what is known once `item` was told as well."""
        if isinstance(item, Status):
            return replace(self, degraded=item.state == "degraded")
        if isinstance(item, Presence):
            left = {user.id for user in item.left}
            people = {id: user for id, user in self.people.items() if id not in left}
            people.update({user.id: user for user in item.joined})
            return replace(self, people=people if item.count <= LISTED_MEMBERS else {}, count=item.count)
        return self

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
