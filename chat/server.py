"""`serve`: uvicorn, tuned for this job."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from chat.cautions import cautions
from chat.exceptions import SettingsError
from chat.http import ChatHttp
from chat.logs import WithoutHandshakes
from chat.settings import Settings
from chat.wire import ChatProtocol

if sys.platform != "win32":
    import resource

    from chat import spread

__all__ = ["ChatProtocol", "cautions", "check", "raise_file_limit", "serve"]

FEW_FILES = 4096
GRACE = 5  # seconds that uvicorn gives the last sockets to close, on top of the drain


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
        loop = "auto"
        if settings.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
            if sys.platform != "win32":
                os.environ[spread.WHERE] = str(counts := Path(shared, "open"))
                spread.Counts.create(counts, workers=settings.workers)
                loop = "chat.spread:SpreadingLoop"
        uvicorn.run(
            "chat.main:app",
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop=loop,
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
