"""What the endpoints depend on; what is refused here is told by `refusal`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Cookie, Depends, Query, WebSocketException
from fastapi.requests import HTTPConnection

from chat import names
from chat.auth import open_user
from chat.events import Position
from chat.exceptions import InvalidName
from chat.manager import ConnectionManager
from chat.protocol import CloseCode, User


def get_manager(connection: HTTPConnection) -> ConnectionManager:
    """Return the app's one `ConnectionManager`."""
    manager: ConnectionManager = connection.app.state.manager
    return manager


async def get_cookie_or_token(
    session: Annotated[str | None, Cookie(description="the session cookie; it comes first")] = None,
    token: Annotated[str | None, Query(description="a token, for clients without the cookie")] = None,
) -> str:
    """Return the credential; without one the handshake is refused."""
    credential = session or token
    if not credential:
        raise WebSocketException(
            CloseCode.POLICY_VIOLATION, "no credential: send a session cookie or the query parameter token"
        )
    return credential


async def get_room(item_id: str) -> str:
    """Return the room's name, normalised; refuse one that is not allowed."""
    try:
        return names.room_name(item_id)
    except InvalidName as error:
        raise WebSocketException(CloseCode.MALFORMED, str(error)) from None


async def get_user(
    credential: Annotated[str, Depends(get_cookie_or_token)],
    name: Annotated[str | None, Query(description="the name to show to others")] = None,
) -> User:
    """Return the person behind the credential."""
    try:
        return open_user(credential, name)
    except InvalidName as error:
        raise WebSocketException(CloseCode.MALFORMED, str(error)) from None


async def get_since(
    since: Annotated[
        str | None, Query(description="epoch:offset of the last message seen; what came after follows")
    ] = None,
) -> Position | None:
    """Return where a client wants to go on."""
    if since is None:
        return None
    epoch, _, offset = since.rpartition(":")
    if not epoch or not offset.isdecimal() or not offset.isascii() or len(offset) > 15:
        raise WebSocketException(CloseCode.MALFORMED, "since must be epoch:offset, as in the last welcome and message")
    return Position(epoch, int(offset))
