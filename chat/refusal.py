"""How a client is told that it may not do what it asked for."""

from __future__ import annotations

from fastapi import Request, Response, WebSocket, WebSocketException
from fastapi.exception_handlers import websocket_request_validation_exception_handler
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.responses import JSONResponse

from chat import metrics
from chat.exceptions import BrokerUnavailable, ChatError, CredentialsUnavailable, Forbidden, InvalidCredential
from chat.protocol import SUBPROTOCOL, CloseCode


async def refuse(connection: Request | WebSocket, error: WebSocketException) -> Response | None:
    """Tell a client that it may not do what it asked for, in the way in which it can understand it."""
    if isinstance(connection, WebSocket):
        await _refuse_handshake(connection, error)
        return None
    code = CloseCode.UNAUTHENTICATED if error.code == CloseCode.POLICY_VIOLATION else error.code
    return _answer(code, error.reason)


async def _refuse_handshake(websocket: WebSocket, error: WebSocketException) -> None:
    """Refuse a WebSocket.

    A browser cannot see why a handshake was refused, so one that speaks chat.v1 is accepted and closed with the
    code. Programs get the HTTP status and a sentence. A tutorial client in a browser gets the tutorial's 1008.
    """
    wants_json = SUBPROTOCOL in websocket.scope["subprotocols"]
    code = error.code
    if wants_json and code == CloseCode.POLICY_VIOLATION:
        code = CloseCode.UNAUTHENTICATED
    if wants_json and "origin" in websocket.headers:
        metrics.refused.labels(code=str(code)).inc()
        await websocket.accept(subprotocol=SUBPROTOCOL)
        await websocket.close(code, _fitting(error.reason))
    elif code >= 4000 and "origin" not in websocket.headers and _can_deny(websocket):
        await websocket.send_denial_response(_answer(code, error.reason))
    else:
        metrics.refused.labels(code=str(code)).inc()
        await websocket.close(code, _fitting(error.reason))


async def refuse_parameters(websocket: WebSocket, error: WebSocketRequestValidationError) -> None:
    """Refuse a query that cannot be read: a tutorial client as FastAPI does it, others by code 4400."""
    if SUBPROTOCOL not in websocket.scope["subprotocols"]:
        await websocket_request_validation_exception_handler(websocket, error)
        return
    details = "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in error.errors())
    await _refuse_handshake(websocket, WebSocketException(CloseCode.MALFORMED, details))


async def refuse_error(request: Request, error: ChatError) -> Response:
    """Answer an HTTP request that could not be carried out."""
    return _answer(code_for(error), str(error))


def code_for(error: ChatError) -> CloseCode:
    """Return the code by which an error is told."""
    match error:
        case InvalidCredential():
            return CloseCode.UNAUTHENTICATED
        case Forbidden():
            return CloseCode.FORBIDDEN
        case BrokerUnavailable() | CredentialsUnavailable():
            return CloseCode.UNAVAILABLE
        case _:
            return CloseCode.MALFORMED


def _answer(code: int, reason: str) -> JSONResponse:
    metrics.refused.labels(code=str(code)).inc()
    headers = {}
    if code == CloseCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    elif code == CloseCode.UNAVAILABLE:
        headers["Retry-After"] = "1"
    return JSONResponse({"code": code, "message": reason}, CloseCode(code).http_status, headers)


def _can_deny(websocket: WebSocket) -> bool:
    return "websocket.http.response" in websocket.scope.get("extensions", {})


def _fitting(reason: str) -> str:
    """Cut to the 123 bytes that a close frame has room for (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
