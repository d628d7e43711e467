"""Connections spread evenly over workers that share a listening socket.

By itself the kernel gives a connection to whichever worker asks first, and with SO_REUSEPORT to any, by chance. Here
every worker says how many it has open, and holds back for a moment while another has fewer.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

logger = logging.getLogger("chat.spread")

WHERE = "CHAT_SHARED_COUNTS"  # the environment variable with the path of the file that the workers share
HOLD_BACK = 0.005  # seconds; a worker that is too busy to take a connection in that time is not waited for
LOOK_AGAIN = 0.1  # seconds between two looks at how many are open still
NO_FILES = 1.0  # seconds to wait when no more files may be opened
AT_ONCE = 64  # connections that are taken without a look at anything else
MORE = 5  # a worker may have 1 + n / 2**MORE more than the one with the fewest, n: some 3 %

_BYTES = 4  # of a count
_NOBODY = -1  # in place of a count

Factory = Callable[[], asyncio.Protocol]


class Counts:
    """How many connections each worker has open, in memory that all of them see."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), 0)
        self._counts = memoryview(self._memory).cast("i")
        self._own = self._claim()

    @staticmethod
    def create(path: Path, *, workers: int) -> None:
        """Make the file; it has room for as many again, who take over while the first ones are about to stop."""
        path.write_bytes(_NOBODY.to_bytes(_BYTES, "little", signed=True) * (2 * workers + 2))

    def _claim(self) -> int | None:
        # A byte for every worker is locked by it as long as it lives, whatever it dies of.
        for own in range(len(self._counts)):
            try:
                os.lseek(self._file.fileno(), own * _BYTES, os.SEEK_SET)
                os.lockf(self._file.fileno(), os.F_TLOCK, 1)
            except OSError:
                continue
            self._counts[own] = _NOBODY
            return own
        return None

    def tell(self, count: int) -> None:
        """Say how many this worker has open."""
        if self._own is not None:
            self._counts[self._own] = count

    def fewest(self) -> int | None:
        """Return how many the one with the fewest has, of all other workers; None if there is no other."""
        others = [count for at, count in enumerate(self._counts) if count != _NOBODY and at != self._own]
        return min(others, default=None)

    def close(self) -> None:
        """Say that this worker takes no more."""
        self.tell(_NOBODY)
        self._counts.release()
        self._memory.close()
        self._file.close()


class Acceptor:
    """Takes this worker's share of the connections that come to a listening socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop, factory: Factory, listener: socket.socket, counts: Counts):
        self._loop = loop
        self._factory = factory
        self._listener = listener
        self._counts = counts
        self._connections: set[Any] = set()  # the server's own, known from the first protocol that it makes
        self._opening: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None  # while it holds back
        self._closed = False
        listener.setblocking(False)
        self._listen()
        self._look()

    def _look(self) -> None:
        self._counts.tell(len(self._connections) + len(self._opening))
        self._looking = self._loop.call_later(LOOK_AGAIN, self._look)

    def _listen(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener.fileno(), self._ready)

    def _ready(self) -> None:
        for _ in range(AT_ONCE):
            if self._has_enough():
                self._hold_back(HOLD_BACK)
                return
            if not self._accept():
                return

    def _has_enough(self) -> bool:
        fewest = self._counts.fewest()
        return fewest is not None and len(self._connections) + len(self._opening) > fewest + (fewest >> MORE)

    def _hold_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._timer = self._loop.call_later(seconds, self._insist)

    def _insist(self) -> None:
        """Take a connection that nobody else has taken in the meantime."""
        self._listen()
        self._accept()

    def _accept(self) -> bool:
        """Take a connection; False if there is none."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            logger.warning("cannot take a connection: %s", error)
            if self._timer is None:
                self._hold_back(NO_FILES)
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self._counts.tell(len(self._connections) + len(self._opening))
        return True

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self._factory()
        self._connections = protocol.connections
        return protocol  # type: ignore[no-any-return]

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("a connection was lost before it could be served: %s", error)

    # --- as an asyncio server, as far as uvicorn uses one ---

    def close(self) -> None:
        """Take no more connections."""
        if self._closed:
            return
        self._closed = True
        self._looking.cancel()
        if self._timer is None:
            self._loop.remove_reader(self._listener.fileno())
        else:
            self._timer.cancel()
        self._counts.close()

    async def wait_closed(self) -> None:
        """Wait for those that were being opened."""
        if self._opening:
            await asyncio.wait(self._opening)


class SpreadingLoop(uvloop.Loop):
    """An event loop whose servers on a shared socket take only their share."""

    async def create_server(self, protocol_factory: Factory, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """Serve; what is special is only a socket of uvicorn's supervisor under `chat serve`."""
        listener, path = options.get("sock"), os.environ.get(WHERE)
        if listener is None or path is None:
            return await super().create_server(protocol_factory, *args, **options)
        listener.listen(options.get("backlog", 2048))
        return Acceptor(self, protocol_factory, listener, Counts(Path(path)))
