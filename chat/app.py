"""`create_app`: the one place that knows all the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException, WebSocketException  # FastAPI's are subclasses of them
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat import __version__, logs
from chat.auth import Authenticator
from chat.bodies import LimitedBodies
from chat.decisions import Decisions
from chat.exceptions import ChatError, SettingsError
from chat.headers import CarefulHeaders
from chat.manager import Authorize, ConnectionManager
from chat.pace import Pace
from chat.refusal import refuse, refuse_body, refuse_error, refuse_parameters, refuse_request
from chat.revocations import LOG, Revocations
from chat.routes import descriptions, events, messages, operations, page, sessions, websocket
from chat.settings import Settings

logger = logging.getLogger("chat.app")

START_TIMEOUT = 10.0  # seconds that the log of what was revoked may take to read before the worker starts all the same


def create_app(settings: Settings | None = None, *, authorize: Authorize | None = None) -> FastAPI:
    """Return the whole service; without settings, the environment decides. Raises `SettingsError`.

    `authorize` is asked as by `ConnectionManager`, over HTTP too, of whoever has shown a credential that allows it.
    """
    settings = settings or Settings.load()
    decisions = Decisions(settings) if settings.authorize_url else None
    if authorize is not None and decisions is not None:
        raise SettingsError("authorize and CHAT_AUTHORIZE_URL both say who may do what; use one of them")
    manager = ConnectionManager(settings=settings, authorize=authorize or decisions)
    authenticator = Authenticator(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not authenticator.signed:
            logger.warning("open mode: whoever shows any token is let in; set CHAT_SECRET_KEY or CHAT_JWKS_URL")
        async with manager, nullcontext() if decisions is None else decisions.running():
            if authenticator.signed:
                await _learn(authenticator.revocations, manager)
            yield

    app = FastAPI(title="Chat broadcaster", version=__version__, lifespan=lifespan)
    app.state.manager = manager
    app.state.authenticator = authenticator
    app.state.pace = Pace(settings.rate_limit, settings.rate_burst)
    app.add_middleware(LimitedBodies, limit=settings.max_frame_bytes)
    app.add_middleware(CarefulHeaders)
    app.add_middleware(StartsOrSaysWhy)
    app.add_exception_handler(WebSocketException, refuse)  # type: ignore[arg-type]
    app.add_exception_handler(WebSocketRequestValidationError, refuse_parameters)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, refuse_request)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, refuse_body)  # type: ignore[arg-type]
    app.add_exception_handler(ChatError, refuse_error)  # type: ignore[arg-type]
    websocket.add_to(app)
    app.include_router(page.router)
    app.include_router(messages.router)
    app.include_router(events.router)
    app.include_router(sessions.router)
    app.include_router(operations.router)
    app.include_router(descriptions.router)
    app.mount("/static", page.files, name="static")
    logs.protect()
    return app


async def _learn(revoked: Revocations, manager: ConnectionManager) -> None:
    """Learn what was revoked before anybody is let in, by this worker too; if the broker is away, once it is back."""
    read = asyncio.Event()

    def caught_up() -> None:
        revoked.known = True
        read.set()

    revoked.known = False
    manager.listen(LOG, revoked.take, caught_up=caught_up)
    if manager.ready:
        with suppress(TimeoutError):
            await asyncio.wait_for(read.wait(), START_TIMEOUT)


class StartsOrSaysWhy:
    """Middleware: a start that fails for a reason of ours is told by a sentence, not by a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failures: list[Message] = []

        async def hold_back(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failures.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold_back)
        except ChatError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        except BaseException:
            for failure in failures:
                await send(failure)
            raise
