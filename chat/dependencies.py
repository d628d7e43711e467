"""What the endpoints depend on, and how a WebSocket is refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import Cookie, Depends, Query, WebSocket, WebSocketException
from fastapi.exception_handlers import websocket_request_validation_exception_handler
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.responses import JSONResponse

from chat import metrics, names
from chat.auth import open_user
from chat.events import Position
from chat.exceptions import InvalidName
from chat.manager import ConnectionManager
from chat.protocol import SUBPROTOCOL, CloseCode, User


def get_manager(websocket: WebSocket) -> ConnectionManager:
    """Return the app's one `ConnectionManager`."""
    manager: ConnectionManager = websocket.app.state.manager
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


async def refuse(websocket: WebSocket, error: WebSocketException) -> None:
    """Tell a client that it may not come in, in the way in which it can understand it.

    A browser cannot see why a handshake was refused, so one that speaks chat.v1 is accepted and closed with the
    code. Programs get the HTTP status and a sentence. A tutorial client in a browser gets the tutorial's 1008.
    """
    wants_json = SUBPROTOCOL in websocket.scope["subprotocols"]
    code = error.code
    if wants_json and code == CloseCode.POLICY_VIOLATION:
        code = CloseCode.UNAUTHENTICATED
    metrics.refused.labels(code=str(code)).inc()
    if wants_json and "origin" in websocket.headers:
        await websocket.accept(subprotocol=SUBPROTOCOL)
        await websocket.close(code, _fitting(error.reason))
    elif code >= 4000 and "origin" not in websocket.headers and _can_deny(websocket):
        status = CloseCode(code).http_status
        await websocket.send_denial_response(JSONResponse({"code": code, "message": error.reason}, status))
    else:
        await websocket.close(code, _fitting(error.reason))


async def refuse_parameters(websocket: WebSocket, error: WebSocketRequestValidationError) -> None:
    """Refuse a query that cannot be read: a tutorial client as FastAPI does it, others by code 4400."""
    if SUBPROTOCOL not in websocket.scope["subprotocols"]:
        await websocket_request_validation_exception_handler(websocket, error)
        return
    details = "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in error.errors())
    await refuse(websocket, WebSocketException(CloseCode.MALFORMED, details))


def _can_deny(websocket: WebSocket) -> bool:
    return "websocket.http.response" in websocket.scope.get("extensions", {})


def _fitting(reason: str) -> str:
    """Cut to the 123 bytes that a close frame has room for (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
