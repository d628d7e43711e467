"""uvicorn's HTTP protocol, where every WebSocket begins as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chat import handshake, metrics
from chat.deadlines import Deadlines
from chat.settings import workers_settings
from chat.transport import STOPPING
from chat.wire import ChatProtocol

MOST_WAITING = 16  # requests on one connection, sent without waiting for answers; each weighs kilobytes
MOST_OVERHEAD = 65_536  # bytes, but for a body


class ChatHttp(HttpToolsProtocol):
    """uvicorn's own HTTP protocol, whose streams hear that the server is about to stop.

    A client that takes too long to say what it wants, or too many bytes, is let go; a WebSocket begins as such a
    request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping: list[Callable[[], None]] = []
        self._patience = Deadlines.shared(self.loop, workers_settings().handshake_timeout, ChatHttp.give_up)
        self._overhead = 0  # bytes that came since the last that were of use: of a head, or of what is around a body
        self._in_head = True
        self._running: RequestResponseCycle | None = None  # what is being answered; self.cycle is what came last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience.begin(self)

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MOST_OVERHEAD and not self.transport.is_closing():
            self._end_by("431 Request Header Fields Too Large")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Go on, if it is clear what is asked for; what is raised here is answered by 400."""
        self._overhead = 0
        self._in_head = False
        if sum([name == b"host" for name, _ in self.headers]) > 1:
            raise ValueError("two hosts")
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > MOST_OVERHEAD:
            raise ValueError("a head of so many bytes")
        if len(self.pipeline) >= MOST_WAITING:
            raise ValueError("so many requests at once")
        if self.parser.should_upgrade():
            self._patience.end(self)
            if self.parser.get_http_version() != "1.1":
                raise ValueError("a WebSocket begins in HTTP/1.1")
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

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._overhead = 0
        self._patience.end(self)
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end(self)
        if self._running is not None:  # uvicorn 0.54 tells what came last only, and the other goes on to write
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Wait no more for a request."""
        if not self.transport.is_closing():
            metrics.slow_handshakes.inc()
            self._end_by("408 Request Timeout")

    def _end_by(self, status: str) -> None:
        self.transport.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._patience.begin(self)
        self._stopping = []
        self.scope["extensions"] = {STOPPING: self._stopping}  # type: ignore[dict-item]

    def shutdown(self) -> None:
        for call in self._stopping:
            call()
        super().shutdown()
