"""uvicorn's HTTP protocol, where every WebSocket begins as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chat import handshake, metrics
from chat.settings import Settings
from chat.transport import STOPPING
from chat.wire import ChatProtocol


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

    def handle_websocket_upgrade(self) -> None:
        """Go on as a WebSocket."""
        offer = handshake.offer(self.headers)
        if (
            offer is None
            or self.scope["method"] != "GET"
            or self.scope["http_version"] != "1.1"
            or not self.url.startswith(b"/")
            or not self.url.isascii()
            or not issubclass(cast("type", self.ws_protocol_class), ChatProtocol)
            or self.config.ws_per_message_deflate
        ):
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        protocol = ChatProtocol(self.config, self.server_state, self.app_state)
        protocol.begin(self, offer)
        self.transport.set_protocol(protocol)

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
