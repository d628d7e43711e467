"""Processes under measurement: started on one core, read through /proc, ended in any case."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 30.0  # seconds for a server to start, or to end

_TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def started(
    command: Sequence[str],
    *,
    port: int,
    core: int | None,
    env: Mapping[str, str] | None = None,
    log: Path,
    expected: tuple[str, int] | None = None,
) -> Iterator[int]:
    """Run a server, pinned to a core unless that is None, until the block ends.

    Yields its process id once its port answers, and its log holds a text so many times, if one is `expected`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            _wait_for(port, process, log, expected or ("", 0))
            yield process.pid
        finally:
            _end(process)


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time, user and system, that processes have spent so far, in all their threads."""
    return sum(_cpu_seconds(pid) for pid in pids)


def rss_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes."""
    return sum(int(_read(f"/proc/{pid}/statm").split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").iterdir():
            members += [int(child) for child in (task / "children").read_text().split()]
    return members


def _cpu_seconds(pid: int) -> float:
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    try:
        # In nanoseconds, where the kernel keeps it; utime and stime are the same sum in steps of 10 ms.
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except FileNotFoundError:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


def _read(path: str) -> str:
    return Path(path).read_text()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path, expected: tuple[str, int]) -> None:
    text, times = expected
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        if log.read_text().count(text) >= times:
            return
        time.sleep(0.05)
    raise RuntimeError(f"{' '.join(process.args)} did not start:\n{log.read_text()[-2000:]}")  # type: ignore[arg-type]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, without waiting for a drain."""
    children = [] if process.poll() is not None else family(process.pid)[1:]
    process.kill()
    process.wait(PATIENCE)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
