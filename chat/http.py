"""uvicorn's HTTP protocol, where every WebSocket begins as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chat import metrics
from chat.settings import Settings
from chat.transport import STOPPING


class ChatHttp(HttpToolsProtocol):
    """uvicorn's own HTTP protocol, whose streams hear that the server is about to stop.

    A client that takes too long to say what it wants is let go; a WebSocket begins as such a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping: list[Callable[[], None]] = []
        self._patience: asyncio.TimerHandle | None = None  # while the head of a request is awaited

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._patience is None and (seconds := _handshake_timeout()):
            self._patience = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            metrics.slow_handshakes.inc()
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_head()
        self._stopping = []
        self.scope["extensions"] = {STOPPING: self._stopping}  # type: ignore[dict-item]

    def shutdown(self) -> None:
        for call in self._stopping:
            call()
        super().shutdown()


@lru_cache
def _handshake_timeout() -> float:
    """Return the setting; workers are processes that read their settings for themselves."""
    return Settings.load().handshake_timeout
