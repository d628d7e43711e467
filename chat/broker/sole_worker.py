"""Sees to it that only one worker of a server keeps its rooms in memory."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

from chat.exceptions import SettingsError

if sys.platform != "win32":
    import fcntl

_held: list[IO[str]] = []  # the lock of this process, held until it ends


def claim() -> None:
    """Claim to be the only worker; raise `SettingsError` if a sibling has done so.

    A process whose parent is no server that starts workers, uvicorn's supervisor or gunicorn, is the only one anyway.
    """
    supervisor = _supervisor()
    if supervisor is None or _held or sys.platform == "win32":
        return
    lock = (Path(tempfile.gettempdir()) / f"chat-memory-{supervisor}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise SettingsError(
            "CHAT_BROKER_URL is memory://, but the server runs several workers: each would have rooms of its own, and "
            "people in the same room would not hear each other. Set CHAT_BROKER_URL to a Redis, such as "
            "redis://localhost:6379/0, or run one worker."
        ) from None
    _held.append(lock)


def _supervisor() -> int | None:
    """Return the process that started this one as a worker."""
    if (parent := multiprocessing.parent_process()) is not None:
        return parent.pid
    return os.getppid() if os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn") else None
