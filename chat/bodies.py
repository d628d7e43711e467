"""How much a request may carry: no more than a WebSocket message, whoever reads it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LimitedBodies:
    """Middleware: whoever reads more than `limit` bytes of one body gets `HTTPException` 413; 0: no limit.

    So nothing larger is ever held in memory, and nothing of it is waited for.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._limit:
            await self._app(scope, receive, send)
            return
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise HTTPException(413, f"the body has more than {self._limit} bytes")
            return message

        await self._app(scope, receive_within_limit, send)
