"""A back end that is asked who may do what, served for real in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tests.apps import serving

Answer = Callable[[Any], bool | Response]


class BackEnd:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Any] = []
        self.headers: list[Any] = []
        self.answer: Answer = lambda question: True
        self.delay = 0.0  # seconds that it takes
        self.app = FastAPI()
        self.app.post("/may")(self._may)

    async def _may(self, request: Request) -> Response:
        question = await request.json()
        self.asked.append(question)
        self.headers.append(request.headers)
        await asyncio.sleep(self.delay)
        answer = self.answer(question)
        return JSONResponse({"allow": answer}) if isinstance(answer, bool) else answer


@asynccontextmanager
async def back_end() -> AsyncIterator[BackEnd]:
    """Serve one while the block lasts."""
    asked = BackEnd()
    async with serving(asked.app) as served:
        asked.url = served.url("/may")
        yield asked
