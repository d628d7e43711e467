"""Somebody else's FastAPI app, served in the test's own event loop by a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import connect

from tests.servers import PATIENCE, free_port, until


class Served:
    """An app while it is served; knows its address."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self.app = app
        self.port = port

    def ws(self, path: str, **options: Any) -> connect:
        """Return websockets' own `connect` to a path."""
        return connect(f"ws://127.0.0.1:{self.port}{path}", **{"proxy": None, "compression": None, **options})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@asynccontextmanager
async def serving(app: FastAPI, *, ws: Any = "auto", http: Any = "auto") -> AsyncIterator[Served]:
    """Serve while the block lasts; `ws` and `http` are uvicorn's protocols."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, ws=ws, http=http, log_config=None, lifespan="on", timeout_graceful_shutdown=5)
    )
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), "the app is served")
        yield Served(app, port)
    finally:
        server.should_exit = True
        async with asyncio.timeout(PATIENCE):
            await task
