"""Real processes for tests: Redis, the chat service, and a TCP proxy that misbehaves on demand.

    async with RedisServer() as redis, ChatServer(CHAT_BROKER_URL=redis.url, workers=3) as chat:
        async with chat.ws("/items/foo/ws?token=t", subprotocols=["chat.v1"]) as socket:
            ...

Every wait has a deadline, and whatever was started is gone at the end of its block, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds that anything may take on a busy machine
NO_LIMITS = {
    "CHAT_RATE_LIMIT": "0",
    "CHAT_MAX_CONNECTIONS_PER_USER": "0",
    "CHAT_MAX_CONNECTIONS_PER_ADDRESS": "0",
}


def free_port() -> int:
    """Return a loopback port that nobody listens on, outside the range from which outgoing connections get theirs."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


async def until(
    condition: Callable[[], bool | Awaitable[bool]],
    what: str,
    *,
    within: float = PATIENCE,
    told: Process | None = None,
) -> None:
    """Wait for what gives no notice of its own; fails after `within` seconds, naming `what`, and with `told`'s log."""
    deadline = time.monotonic() + within
    while True:
        met = condition()
        if met if isinstance(met, bool) else await met:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {within:g} s: {what}\n{told.log if told else ''}")
        await asyncio.sleep(0.01)


class Process:
    """A child process with children of its own, in a group that can be ended as one; what it says is kept."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chat-test-"))
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._popen is not None, "not started"
        return self._popen.pid

    @property
    def log(self) -> str:
        """Everything it has written so far, standard error included."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def launch(self, *command: str, env: dict[str, str] | None = None) -> None:
        with (self.folder / "log").open("ab") as log:
            self._popen = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        os.kill(self.pid, number)

    async def exited(self, *, within: float = PATIENCE) -> int:
        """Wait until it has ended; returns its exit code."""
        assert self._popen is not None, "not started"
        return await asyncio.to_thread(self._popen.wait, within)

    async def kill(self) -> None:
        """End it and all its children, now and without their knowing."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            await self.exited()

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            await self.kill()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class RedisServer(Process):
    """A real `redis-server` on a free port. Keeps nothing, or an append-only file in the folder `data`.

    `arguments` go to redis-server: `RedisServer("--requirepass", "secret")`.
    """

    def __init__(self, *arguments: str, data: Path | None = None) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        keeping = (
            ("--appendonly", "no", "--dir", str(self.folder))
            if data is None
            else ("--appendonly", "yes", "--dir", str(data))
        )
        self._command = ("redis-server", "--save", "", *keeping, *arguments)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def start(self) -> None:
        """Start, or start again on the same port; returns once it answers."""
        self.launch(*self._command, "--bind", "127.0.0.1", "--port", str(self.port))
        await until(self._answers, "redis-server answers")

    async def stop(self) -> None:
        """Let it shut down in good order."""
        self.send(signal.SIGTERM)
        await self.exited()

    def pause(self) -> None:
        """Stop it in its tracks: its connections stay open, nothing is answered."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    async def cli(self, *arguments: str) -> str:
        """Return what `redis-cli` prints, without the last line break."""
        command = ["redis-cli", "-p", str(self.port), *arguments]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.rstrip("\n")

    async def _answers(self) -> bool:
        if not self.running:
            raise AssertionError(f"redis-server did not start:\n{self.log}")
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
            return answer.startswith((b"+PONG", b"-NOAUTH"))
        return False


class ChatServer(Process):
    """The service as people run it: `chat serve`, or with `plain=True` `uvicorn chat.main:app`.

    `settings` are its environment: `ChatServer(workers=2, CHAT_BROKER_URL=redis.url)`. Nothing else called CHAT_…
    reaches it. There is no rate limit, nor one of connections per person or address, unless they set one.
    `wait=False` returns at once, for a server that is expected not to start.
    """

    def __init__(
        self,
        *arguments: str,
        plain: bool = False,
        workers: int = 1,
        port: int | None = None,
        wait: bool = True,
        **settings: str,
    ) -> None:
        super().__init__()
        self.workers = workers
        self.port = free_port() if port is None else port
        command = ("uvicorn", "chat.main:app") if plain else ("chat.cli", "serve")
        where = ("--host", "127.0.0.1", "--port", str(self.port))
        many = ("--workers", str(workers)) if workers > 1 else ()
        self._command = (sys.executable, "-m", *command, *where, *many, *arguments)
        self._wait = wait
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("CHAT_", "PROMETHEUS_", "WEB_"))
        }
        self._env = {**clean, "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1", **NO_LIMITS, **settings}

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def start(self) -> None:
        """Start, or start again on the same port; returns once all workers are up and /readyz says so."""
        self._started_before = len(self._worker_starts())
        self.launch(*self._command, env=self._env)
        if self._wait:
            await until(self._ready, "the service is ready", told=self)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ws_url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def ws(self, path: str, **options: Any) -> connect:
        """Return websockets' own `connect` to a path; `options` are those of websockets."""
        return connect(self.ws_url(path), **{"proxy": None, "compression": None, "max_queue": None, **options})

    def http(self, **options: Any) -> httpx.AsyncClient:
        """Return a client to be used in an `async with` block; paths are enough as addresses."""
        options = {"verify": False, **options}  # loading certificates takes longer than most tests
        return httpx.AsyncClient(base_url=self.url(""), timeout=PATIENCE, trust_env=False, **options)

    def worker_pids(self) -> list[int]:
        """Return the processes that serve, of those started so far the ones that still live."""
        return [pid for pid in map(int, self._worker_starts()) if _alive(pid)]

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Stop all workers but one, by its process id, while the block lasts: who connects meanwhile is on that one."""
        others = [pid for pid in self.worker_pids() if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    async def terminate(self, *, within: float = PATIENCE) -> int:
        """Ask it to stop as a deploy does, by SIGTERM, and wait until it has; returns its exit code."""
        self.send(signal.SIGTERM)
        return await self.exited(within=within)

    def _worker_starts(self) -> list[str]:
        return re.findall(r"Started server process \[(\d+)\]", self.log)

    async def _ready(self) -> bool:
        if not self.running:
            raise AssertionError(f"the service did not start:\n{self.log}")
        if len(self._worker_starts()) < self._started_before + self.workers:
            return False
        if self.log.count("Application startup complete") < len(self._worker_starts()):
            return False
        async with self.http() as client:
            with suppress(httpx.TransportError):
                return (await client.get("/readyz")).status_code == 200
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed worker stays as a zombie until its supervisor looks.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


class TcpProxy:
    """Forwards connections to a loopback port, and can freeze, delay, reset or refuse them.

    `delay` is how many seconds every piece waits on its way, and can be changed at any time.
    """

    def __init__(self, target: int, *, delay: float = 0.0) -> None:
        self.port = free_port()
        self.delay = delay
        self._target = target
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.refuse()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Hold everything back; connections stay open and look alive."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Break all connections at once, by RST on both sides."""
        for writers in self._connections.values():
            for writer in writers:
                _break(writer)

    async def refuse(self) -> None:
        """Let nobody in any more, until `accept`; connections that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (writer,)
        far: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            self._connections[task] = (writer, far)
            await asyncio.gather(self._pump(reader, far), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the end of one connection is no failure of the proxy
        finally:
            del self._connections[task]
            for open_one in (writer, far):
                if open_one is not None:
                    _break(open_one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


def _break(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
