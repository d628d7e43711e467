"""What the endpoints depend on; what is refused here is told by `refusal`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Cookie, Depends, Query, Security, WebSocketException
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPBearer

from chat import names
from chat.access import Access
from chat.addresses import network
from chat.auth import Authenticator, Identity
from chat.exceptions import ChatError, Forbidden, InvalidName
from chat.manager import ConnectionManager
from chat.pace import Pace
from chat.protocol import CloseCode, User
from chat.refusal import code_for
from chat.rights import Action
from chat.settings import Settings

BEARER = "bearer."  # what a token begins with that is carried as a subprotocol

bearer = HTTPBearer(auto_error=False, description="a token; so can a cookie or the query carry it")


async def get_manager(connection: HTTPConnection) -> ConnectionManager:
    """Return the app's one `ConnectionManager`."""
    manager: ConnectionManager = connection.app.state.manager
    return manager


async def get_authenticator(connection: HTTPConnection) -> Authenticator:
    """Return the app's one `Authenticator`."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator


async def get_cookie_or_token(
    connection: HTTPConnection,
    session: Annotated[str, Cookie(description="the session cookie; it comes first")] = "",
    token: Annotated[str, Query(description="a token, for clients without the cookie")] = "",
) -> str:
    """Return the credential; without one the handshake is refused.

    A cookie that another site made the browser send does not count. Behind the cookie, and before the query, comes a
    token that stands in the header Authorization, or among the subprotocols behind `bearer.`.
    """
    if session and is_own(connection):
        return session
    if credential := _carried_token(connection) or token:
        return credential
    if connection.scope["type"] == "http":
        await paced(connection)
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


def _carried_token(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    offered: list[str] = connection.scope.get("subprotocols", [])
    return next((offer.removeprefix(BEARER) for offer in offered if offer.startswith(BEARER)), None)


async def from_here(connection: HTTPConnection) -> None:
    """Refuse what another site makes the browser ask for: nobody is signed in or out by a page that is not ours."""
    if not is_own(connection):
        raise Forbidden("this cannot be asked for from another origin")


async def get_room(item_id: str) -> str:
    """Return the room's name, normalised; refuse one that is not allowed."""
    with malformed_if(InvalidName):
        return names.room_name(item_id)


async def identify(connection: HTTPConnection, credential: str, name: str | None) -> Identity:
    """Return who shows a credential; refuse one that is not good."""
    try:
        authenticator = await get_authenticator(connection)
        return await authenticator.identify(credential, name)
    except ChatError as error:
        raise WebSocketException(code_for(error), str(error)) from None


def demand(identity: Identity, room: str, action: Action) -> None:
    """Refuse what the credential does not allow."""
    if not identity.rights.allow(room, action):
        raise WebSocketException(CloseCode.FORBIDDEN, f"this credential does not allow to {action} in {room}")


async def get_identity(
    connection: HTTPConnection,
    credential: Annotated[str, Depends(get_cookie_or_token)],
    name: Annotated[str | None, Query(description="the name to show to others, if the credential has none")] = None,
    documented: Annotated[object, Security(bearer)] = None,
) -> Identity:
    """Return who asks, over HTTP, no faster than one may; whoever is nobody is held to it by the address."""
    pace: Pace = connection.app.state.pace
    try:
        identity = await identify(connection, credential, name)
    except WebSocketException:
        pace.demand("requests_per_address", address(connection))
        raise
    pace.demand("requests_per_user", identity.user.id)
    return identity


async def paced(connection: HTTPConnection) -> None:
    """Refuse an address that asks too fast, of routes that take no credential."""
    pace: Pace = connection.app.state.pace
    pace.demand("requests_per_address", address(connection))


async def signs_in(connection: HTTPConnection) -> None:
    """Refuse an address that tries to sign in too fast."""
    pace: Pace = connection.app.state.pace
    pace.demand("sign_ins_per_address", address(connection))


def address(connection: HTTPConnection) -> str:
    """Return what the client's address is counted as."""
    return "" if connection.client is None else network(connection.client.host)


def whoever_may(action: Action) -> Callable[..., Awaitable[User]]:
    """Return a dependency: who asks, over HTTP, if they may do that in the room."""

    async def get_user(
        room: Annotated[str, Depends(get_room)],
        identity: Annotated[Identity, Depends(get_identity)],
        manager: Annotated[ConnectionManager, Depends(get_manager)],
    ) -> User:
        demand(identity, room, action)
        await manager.demand(identity.user, room, action)
        return identity.user

    return get_user


get_reader = whoever_may(Action.SUBSCRIBE)
get_author = whoever_may(Action.PUBLISH)


async def get_access(
    connection: HTTPConnection,
    room: Annotated[str, Depends(get_room)],
    identity: Annotated[Identity, Depends(get_identity)],
) -> Access:
    """Return until when who asks may listen to the room, over HTTP."""
    demand(identity, room, Action.SUBSCRIBE)
    return Access(await get_authenticator(connection), identity, room)


@contextmanager
def malformed_if(*kinds: type[Exception]) -> Iterator[None]:
    """Refuse by code 4400 what raises an exception of those kinds in the block."""
    try:
        yield
    except kinds as error:
        raise WebSocketException(CloseCode.MALFORMED, str(error)) from None
