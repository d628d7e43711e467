"""The log holds no token, no traceback for a client that merely left, and no line per stranger."""

import logging
import time

import pytest
from starlette.websockets import WebSocketDisconnect

from chat.logs import SELDOM, WithoutDisconnects, WithoutQueries, WithoutRepetition, WithoutWire, protect


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("uvicorn.error", logging.INFO, "", 0, message, args, exc_info)


def test_queries_are_cut_off() -> None:
    """As uvicorn writes the address of a WebSocket that was accepted."""
    line = record('%s - "WebSocket %s" [accepted]', "127.0.0.1:5", "/items/foo/ws?token=secret&q=1")
    assert WithoutQueries().filter(line)
    assert line.getMessage() == '127.0.0.1:5 - "WebSocket /items/foo/ws" [accepted]'


def test_other_arguments_are_left_alone() -> None:
    """A status stays a number."""
    line = record("%s %d", "/a?b=c", 200)
    WithoutQueries().filter(line)
    assert line.getMessage() == "/a 200"


def test_a_disconnect_is_not_worth_a_traceback() -> None:
    """It is how an endpoint of the tutorial ends."""
    assert not WithoutDisconnects().filter(record("Exception in ASGI application", error=WebSocketDisconnect(1001)))


def test_bytes_that_are_no_utf_8_are_not_worth_a_traceback() -> None:
    """Any client can send them, as often as it likes."""
    line = record("Invalid UTF-8 sequence received from client.", error=UnicodeDecodeError("utf-8", b"", 0, 1, ""))
    assert not WithoutDisconnects().filter(line)


def test_what_goes_over_the_wire_is_not_written_down() -> None:
    """At debug level uvicorn shows headers and frames."""
    line = record("< %s: %s", "Cookie", "session=secret")
    line.levelno = logging.DEBUG
    assert not WithoutWire().filter(line)
    assert WithoutWire().filter(record("Uvicorn running"))


def test_what_any_stranger_can_cause_is_written_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how often it happened; nobody fills the disk with it."""
    seldom = WithoutRepetition()
    times = iter([1.0, 2.0, 3.0, 4.0, 1.0 + SELDOM, 2.0 + SELDOM])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    lines = [record("Invalid HTTP request received.") for _ in range(5)]
    assert [seldom.filter(line) for line in lines] == [True, False, False, False, True]
    assert lines[-1].getMessage() == "Invalid HTTP request received. And 3 more since this was written last."
    assert seldom.filter(record("Unsupported upgrade request."))


def test_what_is_not_a_strangers_doing_is_written_each_time() -> None:
    """However often it comes."""
    seldom = WithoutRepetition()
    assert all(seldom.filter(record("Exception in ASGI application")) for _ in range(3))


@pytest.mark.parametrize("error", [None, RuntimeError("real")])
def test_real_errors_stay(error: BaseException | None) -> None:
    """What is wrong has to be seen."""
    assert WithoutDisconnects().filter(record("Exception in ASGI application", error=error))


def test_protection_is_put_on_once() -> None:
    """However many apps a process makes."""
    protect()
    before = list(logging.getLogger("uvicorn.error").filters)
    protect()
    assert logging.getLogger("uvicorn.error").filters == before
