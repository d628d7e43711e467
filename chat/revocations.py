"""Which people and tokens are not let in any more; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct, UnsetType

from chat.events import Publication
from chat.settings import REVOCATIONS

LOG: Final = "!revoked"  # the log in which workers tell each other; no room can be called so


class Revocation(Struct):
    """All tokens of a person that were issued up to now, or one token."""

    user: str | None = None  # the person's id
    token: str | None = None  # the claim jti


_decode = msgspec.json.Decoder(Revocation).decode


class Revocations:
    """Knows what was revoked, and tells whoever was let in by it."""

    def __init__(self) -> None:
        self.known = True  # what stands in the log; if not, nobody can be let in
        self._revoked: dict[str, float] = {}  # when, in seconds since 1970, by key
        self._watchers: dict[str, set[Callable[[], None]]] = {}  # who is to be told, by key

    def take(self, publication: Publication) -> None:
        """Note what stands in the log."""
        try:
            data = publication.content.data
            revocation = Revocation() if isinstance(data, UnsetType) else _decode(data)
        except msgspec.DecodeError:
            return  # a later version's
        for key in _keys(revocation.user, revocation.token):
            self._revoked.pop(key, None)
            self._revoked[key] = publication.at / 1000
            for tell in list(self._watchers.get(key, ())):
                tell()
        while len(self._revoked) > REVOCATIONS:
            del self._revoked[next(iter(self._revoked))]

    def has(self, user: str, token: str | None, issued: float | None) -> bool:
        """Whether a token is revoked, itself or with all that its person had when it was issued."""
        if token is not None and f"token {token}" in self._revoked:
            return True
        revoked = self._revoked.get(f"user {user}")
        return revoked is not None and (issued is None or issued <= revoked)

    def watch(self, user: str, token: str | None, tell: Callable[[], None]) -> Callable[[], None]:
        """Call `tell` when something of that person or token is revoked; returns what ends that."""
        keys = _keys(user, token)
        for key in keys:
            self._watchers.setdefault(key, set()).add(tell)

        def end() -> None:
            for key in keys:
                watchers = self._watchers.get(key, set())
                watchers.discard(tell)
                if not watchers:
                    self._watchers.pop(key, None)

        return end


def _keys(user: str | None, token: str | None) -> list[str]:
    return [f"{kind} {id}" for kind, id in (("user", user), ("token", token)) if id is not None]
