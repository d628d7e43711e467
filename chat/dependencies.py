"""What the endpoints depend on; what is refused here is told by `refusal`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Cookie, Depends, Query, WebSocketException
from fastapi.requests import HTTPConnection

from chat import names
from chat.auth import open_user
from chat.exceptions import InvalidName
from chat.manager import ConnectionManager
from chat.protocol import CloseCode, User
from chat.settings import Settings


async def get_manager(connection: HTTPConnection) -> ConnectionManager:
    """Return the app's one `ConnectionManager`."""
    manager: ConnectionManager = connection.app.state.manager
    return manager


async def get_cookie_or_token(
    connection: HTTPConnection,
    session: Annotated[str | None, Cookie(description="the session cookie; it comes first")] = None,
    token: Annotated[str | None, Query(description="a token, for clients without the cookie")] = None,
) -> str:
    """Return the credential; without one the handshake is refused.

    A cookie that another site made the browser send does not count.
    """
    if session and is_own(connection):
        return session
    if token:
        return token
    if session:
        raise WebSocketException(CloseCode.FORBIDDEN, "a session cookie does not count from this origin")
    raise WebSocketException(
        CloseCode.POLICY_VIOLATION, "no credential: send a session cookie or the query parameter token"
    )


def is_own(connection: HTTPConnection) -> bool:
    """Whether a request comes from our own page, from an origin that is allowed, or not from a browser at all."""
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    settings: Settings = connection.app.state.manager.settings
    origin = origin.lower()
    return origin.partition("://")[2] == connection.headers.get("host", "").lower() or origin in settings.origins


async def get_room(item_id: str) -> str:
    """Return the room's name, normalised; refuse one that is not allowed."""
    with malformed_if(InvalidName):
        return names.room_name(item_id)


async def get_user(
    credential: Annotated[str, Depends(get_cookie_or_token)],
    name: Annotated[str | None, Query(description="the name to show to others")] = None,
) -> User:
    """Return the person behind the credential."""
    with malformed_if(InvalidName):
        return open_user(credential, name)


@contextmanager
def malformed_if(*kinds: type[Exception]) -> Iterator[None]:
    """Refuse by code 4400 what raises an exception of those kinds in the block."""
    try:
        yield
    except kinds as error:
        raise WebSocketException(CloseCode.MALFORMED, str(error)) from None
