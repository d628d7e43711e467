"""How a client is told that it may not do what it asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response, WebSocket, WebSocketException
from fastapi.exception_handlers import http_exception_handler, websocket_request_validation_exception_handler
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from chat import metrics
from chat.exceptions import (
    BrokerUnavailable,
    ChatError,
    CredentialsUnavailable,
    DecisionUnavailable,
    Forbidden,
    InvalidCredential,
    TooManyConnections,
    TooManyRequests,
)
from chat.protocol import SUBPROTOCOL, CloseCode


class Refusal(BaseModel):
    """Why something was not done."""

    code: int = Field(description="as a WebSocket would be closed")
    message: str = Field(description="a sentence for people")
    retry_ms: int | None = Field(None, description="milliseconds after which to try again, if that makes sense")


MEANINGS = {
    CloseCode.UNAUTHENTICATED: "no credential, or one that is not good",
    CloseCode.FORBIDDEN: "the credential does not allow it, or does not count from this origin",
    CloseCode.TOO_LARGE: "the body has more than `CHAT_MAX_FRAME_BYTES`",
    CloseCode.MALFORMED: "the room, the query, a header or the body is malformed",
    CloseCode.TOO_MANY_CONNECTIONS: "too many at once; come back after `Retry-After` seconds",
    CloseCode.RATE_LIMITED: "too much at once; come back after `Retry-After` seconds",
    CloseCode.UNAVAILABLE: "cannot be done now; come back after `Retry-After` seconds",
}


# Seconds, where whatever was in the way does not know better.
RETRY_AFTER: dict[int, float] = {
    CloseCode.TOO_MANY_CONNECTIONS: 5,
    CloseCode.RATE_LIMITED: 1,
    CloseCode.UNAVAILABLE: 1,
}


def refusals(*codes: CloseCode) -> dict[int | str, dict[str, Any]]:
    """Return what a route's `responses` say of the refusals that it can answer with."""
    return {code.http_status: {"model": Refusal, "description": MEANINGS[code]} for code in codes}


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
    await _refuse_handshake(websocket, WebSocketException(CloseCode.MALFORMED, _details(error.errors())))


async def refuse_request(request: Request, error: RequestValidationError) -> Response:
    """Refuse a query, a header or a body that cannot be read.

    What was sent is not repeated: it may hold a token, or something that cannot be written as JSON.
    """
    return _answer(CloseCode.MALFORMED, _details(error.errors()))


async def refuse_body(request: Request, error: HTTPException) -> Response:
    """Refuse a body that is too large, or is not even JSON."""
    code = {400: CloseCode.MALFORMED, 413: CloseCode.TOO_LARGE}.get(error.status_code)
    return await http_exception_handler(request, error) if code is None else _answer(code, error.detail)


def _details(errors: Iterable[Any]) -> str:
    return "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in errors)


async def refuse_error(request: Request, error: ChatError) -> Response:
    """Answer an HTTP request that could not be carried out."""
    retry_after = error.retry_after if isinstance(error, TooManyRequests) else None
    return _answer(code_for(error), str(error), retry_after=retry_after)


def code_for(error: ChatError) -> CloseCode:
    """Return the code by which an error is told."""
    match error:
        case InvalidCredential():
            return CloseCode.UNAUTHENTICATED
        case Forbidden():
            return CloseCode.FORBIDDEN
        case TooManyConnections():
            return CloseCode.TOO_MANY_CONNECTIONS
        case TooManyRequests():
            return CloseCode.RATE_LIMITED
        case BrokerUnavailable() | CredentialsUnavailable() | DecisionUnavailable():
            return CloseCode.UNAVAILABLE
        case _:
            return CloseCode.MALFORMED


def _answer(code: int, reason: str, *, retry_after: float | None = None) -> JSONResponse:
    metrics.refused.labels(code=str(code)).inc()
    refusal: dict[str, Any] = {"code": code, "message": reason}
    headers = {}
    if code == CloseCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if (seconds := retry_after or RETRY_AFTER.get(code)) is not None:
        headers["Retry-After"] = str(math.ceil(seconds))  # the header has no fractions
        refusal["retry_ms"] = math.ceil(seconds * 1000)
    return JSONResponse(refusal, CloseCode(code).http_status, headers)


def _can_deny(websocket: WebSocket) -> bool:
    return "websocket.http.response" in websocket.scope.get("extensions", {})


def _fitting(reason: str) -> str:
    """Cut to the 123 bytes that a close frame has room for (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
