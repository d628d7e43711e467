"""uvicorn, tuned for this job: a WebSocket protocol that takes ready-made frames, and `serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn._types import ASGISendEvent
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from chat import metrics
from chat.exceptions import SettingsError
from chat.frames import Batch
from chat.logs import WithoutHandshakes
from chat.protocol import CloseCode
from chat.settings import LOOPBACK, Settings
from chat.transport import EXTENSION, STOPPING, Listener

if sys.platform != "win32":
    import resource

_websocket_logger = logging.getLogger("chat.websocket")

FEW_FILES = 4096
# What the kernel takes off our hands before the network does; by itself it would keep megabytes for a member that does
# not read, and hide from us for minutes that a slow one reads.
KERNEL_BUFFER_BYTES = 131_072
NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)

GRACE = 5  # seconds that uvicorn gives the last sockets to close, on top of the drain


class FrameTransport:
    """A `chat.transport.Transport` that writes ready-made frames, past uvicorn's send."""

    __slots__ = ("_protocol", "listener", "paused", "write_frames")

    def __init__(self, protocol: ChatProtocol) -> None:
        self.paused = False
        self.listener: Listener | None = None  # there while a member holds the connection
        self.write_frames: Callable[[bytes], None] | None = None
        self._protocol = protocol

    def attach(self, listener: Listener, *, limit: int) -> None:
        self.listener = listener
        self._protocol.transport.set_write_buffer_limits(high=limit, low=limit // 2)
        if NOTSENT_LOWAT is not None:
            connection = self._protocol.transport.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, KERNEL_BUFFER_BYTES)
        self.write_frames = self._protocol.transport.write

    def write(self, batch: Batch) -> None:
        protocol = self._protocol
        if not protocol.close_sent and not protocol.disconnected:
            protocol.transport.write(batch.frames)

    def waiting(self) -> int:
        return self._protocol.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        self._protocol.close(code, reason)

    async def closed(self) -> None:
        pass  # it was, at once

    def pause(self) -> None:
        """The socket does not take any more."""
        self.paused = True
        if self.listener is not None:
            self.listener.paused()

    def resume(self) -> None:
        """The socket took most of it."""
        self.paused = False
        if self.listener is not None:
            self.listener.resumed()

    def closes(self) -> None:
        """A close was sent or came in, or the connection is lost."""
        if self.listener is not None:
            self.listener.closed()


class ChatProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own WebSocket protocol, with a `FrameTransport` in the scope's extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Rfc6455(max_size=self.config.ws_max_size, logger=_websocket_logger)
        self._frames = FrameTransport(self)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # not refused already
            self.scope["extensions"][EXTENSION] = self._frames  # type: ignore[assignment]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # uvicorn 0.54 forgets, and complains of an endpoint that only refused

    def pause_writing(self) -> None:
        super().pause_writing()
        self._frames.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._frames.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._frames.closes()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._frames.closes()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._frames.closes()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, as uvicorn does for `websocket.close`, but without waiting for the transport."""
        if self.close_sent or self.disconnected or self.transport.is_closing() or not self.handshake_complete:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._frames.closes()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Not transport.close, which would wait for a client that does not read.
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def shutdown(self) -> None:
        """Let members go one after the other; uvicorn would send 1012 to all of them at once."""
        if self._frames.listener is not None and not self.close_sent:
            self._frames.listener.stopping()
        else:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping. What waits to be sent will never be read: do not wait for it."""
        super().keepalive_timeout()
        self._frames.closes()
        self.transport.abort()


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


class _Rfc6455(ServerProtocol):
    """Tells a frame over the limit by our own close code, which says that trying again is no use."""

    def fail(self, code: int, reason: str = "") -> None:
        super().fail(CloseCode.TOO_LARGE if code == 1009 else code, reason)


def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises `SettingsError` for settings that do not fit together.

    Workers are processes of their own, which read their settings from the environment again.
    """
    check(settings)
    for caution in cautions(settings):
        print(f"chat: careful: {caution}", file=sys.stderr)
    # uvicorn, once it has stopped in peace, raises the signal again that told it to: that is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if (
        settings.workers == 1 and sys.platform != "win32"
    ):  # otherwise uvicorn's supervisor replaces the workers one by one
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="chat-metrics-") as shared:
        if settings.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        uvicorn.run(
            "chat.main:app",
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            http=ChatHttp,
            ws=ChatProtocol,
            ws_max_size=settings.max_frame_bytes or 2**63 - 1,
            ws_ping_interval=settings.heartbeat or None,
            ws_ping_timeout=settings.pong_timeout,
            ws_per_message_deflate=False,  # halves the fan-out rate, costs memory per socket
            access_log=False,
            log_level=settings.log_level,
            log_config=_logging(settings),
            timeout_graceful_shutdown=settings.drain_timeout + GRACE,
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
        )


def raise_file_limit() -> None:
    """Let this process and its workers open as many sockets as they are allowed to; warn if these are few."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems promise more than they give
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FEW_FILES:
        print(
            f"chat: only {soft} open files are allowed, and every connection is one; see `ulimit -n`", file=sys.stderr
        )


def check(settings: Settings) -> None:
    """Raise `SettingsError` for settings that are right one by one, but not together."""
    if settings.workers > 1 and settings.broker_url.startswith("memory:"):
        raise SettingsError(
            f"CHAT_WORKERS is {settings.workers}, but with CHAT_BROKER_URL=memory:// every worker would have rooms of "
            "its own, and people in the same room would not hear each other. Set CHAT_BROKER_URL to a Redis, such as "
            "redis://localhost:6379/0, or CHAT_WORKERS to 1."
        )


def cautions(settings: Settings) -> list[str]:
    """Return a sentence for each combination of settings that is meant for other places than this looks like."""
    said = []
    signed = settings.secrets or settings.jwks_url
    if not signed and settings.host not in LOOPBACK:
        said.append(
            f"open mode on {settings.host}: whoever reaches this address is let in with any token, under any name; set "
            "CHAT_SECRET_KEY or CHAT_JWKS_URL"
        )
    if settings.jwks_url and not settings.jwks_audience:
        said.append(
            "CHAT_JWKS_URL without CHAT_JWKS_AUDIENCE: tokens that were issued for other applications count as well"
        )
    said += [
        f"CHAT_ALLOWED_ORIGINS has {origin}: whoever is on the way can change its pages and use session cookies by them"
        for origin in sorted(settings.origins)
        if origin.startswith("http://") and urlsplit(origin).hostname not in LOOPBACK
    ]
    if "*" in settings.trusted_proxies and settings.host not in LOOPBACK:
        said.append("CHAT_TRUSTED_PROXIES is *: whoever reaches this address can say that it is somebody else")
    return said


def _logging(settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = {**LOGGING_CONFIG, "loggers": dict(LOGGING_CONFIG["loggers"])}
    config["formatters"] = {
        **LOGGING_CONFIG["formatters"],
        "default": {"format": "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"},
    }
    # One line for every handshake, however it went, is an access log in disguise.
    config["filters"] = {"no_handshakes": {"()": WithoutHandshakes}}
    config["loggers"]["uvicorn.error"] = {"level": settings.log_level.upper(), "filters": ["no_handshakes"]}
    config["loggers"]["chat.websocket"] = {"level": "WARNING"}
    config["loggers"]["chat"] = {"handlers": ["default"], "level": settings.log_level.upper(), "propagate": False}
    return config
