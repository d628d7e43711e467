"""What the log must not say: tokens, and tracebacks for clients that merely left."""

from __future__ import annotations

import logging
import re

from starlette.websockets import WebSocketDisconnect

_QUERY = re.compile(r"\?\S*")


class WithoutQueries(logging.Filter):
    """Cuts queries off URLs: uvicorn writes them whole, and a token may stand in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_QUERY.sub("", arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


class WithoutWire(logging.Filter):
    """Drops what uvicorn writes below INFO: headers, frames and scopes, with all credentials in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO


class WithoutDisconnects(logging.Filter):
    """Drops what uvicorn writes when an endpoint ends by `WebSocketDisconnect`, as the tutorial's do, and its
    traceback for a client that sends what is no UTF-8.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], WebSocketDisconnect):
            return False
        return not str(record.msg).startswith("Invalid UTF-8 sequence")


class WithoutHandshakes(logging.Filter):
    """Drops the line that uvicorn writes for every WebSocket handshake; `/metrics` counts them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.msg, str) and record.msg.startswith('%s - "WebSocket'))


def protect() -> None:
    """Put the filters on uvicorn's loggers, once."""
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        for wanted in (WithoutQueries, WithoutWire, WithoutDisconnects):
            if not any(isinstance(present, wanted) for present in logger.filters):
                logger.addFilter(wanted())
