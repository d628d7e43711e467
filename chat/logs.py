"""What the log must not say: tokens, tracebacks for clients that merely left, and the same for every stranger."""

from __future__ import annotations

import logging
import math
import re
import time

from starlette.websockets import WebSocketDisconnect

SELDOM = 60.0  # seconds

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


class WithoutRepetition(logging.Filter):
    """Lets what any stranger can make uvicorn write through once a minute, with how many more there were."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = {line: _Line() for line in ("Invalid HTTP request received.", "Unsupported upgrade request.")}

    def filter(self, record: logging.LogRecord) -> bool:
        line = self._lines.get(str(record.msg))
        return line is None or line.pass_on(record)


class _Line:
    """When it was written last, and how often it was not since then."""

    def __init__(self) -> None:
        self._written = -math.inf  # by the monotonic clock
        self._kept_back = 0

    def pass_on(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._written + SELDOM:
            self._kept_back += 1
            return False
        if self._kept_back:
            record.msg = f"{record.msg} And {self._kept_back} more since this was written last."
        self._written, self._kept_back = now, 0
        return True


def protect() -> None:
    """Put the filters on uvicorn's loggers, once."""
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        for wanted in (WithoutQueries, WithoutWire, WithoutDisconnects, WithoutRepetition):
            if not any(isinstance(present, wanted) for present in logger.filters):
                logger.addFilter(wanted())
