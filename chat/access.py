"""One connection's right to be there: until when, and what it may do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chat import protocol
from chat.auth import LEEWAY, Authenticator, Identity
from chat.connection import Connection
from chat.exceptions import Forbidden, InvalidCredential
from chat.protocol import CloseCode
from chat.rights import Action

LONGEST_SLEEP = 3600.0  # seconds; then it looks at the clock again, which may have been set


class Access:
    """Ends a connection when its credential expires, unless it was refreshed before."""

    def __init__(self, authenticator: Authenticator, identity: Identity, room: str) -> None:
        self.identity = identity
        self._authenticator = authenticator
        self._room = room
        self._timer: asyncio.TimerHandle | None = None
        self._unwatch: Callable[[], None] | None = None

    @property
    def expires(self) -> str | None:
        """When the credential expires, as the protocol tells it; None: never."""
        return None if self.identity.expires is None else protocol.timestamp(int(self.identity.expires * 1000))

    def demand(self, action: Action) -> None:
        """Raise `Forbidden` unless the credential allows the action."""
        if not self.identity.rights.allow(self._room, action):
            raise Forbidden(f"this credential does not allow to {action} here")

    def guard(self, connection: Connection) -> None:
        """Close the connection if the credential expires, or is revoked; until `stop`."""
        self._watch(connection)

    @contextmanager
    def guarding(self, connection: Connection) -> Iterator[None]:
        """Guard a connection while the block lasts."""
        self.guard(connection)
        try:
            yield
        finally:
            self.stop()

    async def refresh(self, connection: Connection, token: str) -> None:
        """Take another credential of the same person in place of the first one.

        Raises `InvalidCredential`, and `CredentialsUnavailable`; then the old one goes on to count.
        """
        identity = await self._authenticator.identify(token)
        if identity.user.id != self.identity.user.id:
            raise InvalidCredential("the token is another person's")
        if not identity.rights.allow(self._room, Action.SUBSCRIBE):
            raise InvalidCredential("the token does not allow to be here")
        self.identity = identity
        if not connection.closing:
            self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        self.stop()
        identity, revocations = self.identity, self._authenticator.revocations

        def check() -> None:
            if revocations.has(identity.user.id, identity.token_id, identity.issued):
                connection.close(CloseCode.UNAUTHENTICATED, "the token was revoked")

        if self._authenticator.signed:
            self._unwatch = revocations.watch(identity.user.id, identity.token_id, check)
            check()  # it may have happened since the credential was looked at
        self._time(connection)

    def _time(self, connection: Connection) -> None:
        if self.identity.expires is None:
            return
        left = self.identity.expires + LEEWAY - time.time()
        if left <= 0:
            connection.close(CloseCode.UNAUTHENTICATED, "the token has expired")
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(left, LONGEST_SLEEP), self._time, connection)

    def stop(self) -> None:
        """Guard no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
