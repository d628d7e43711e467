"""What a server costs: its memory, its sockets, its own counts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.servers import ChatServer


def resident_bytes(chat: ChatServer) -> int:
    """Return the memory that its workers hold."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in chat.worker_pids())
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_sockets(chat: ChatServer) -> int:
    """Return how many sockets its workers have open."""
    count = 0
    for pid in chat.worker_pids():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                count += os.readlink(descriptor).startswith("socket:")
    return count


def kernel_bytes(chat: ChatServer) -> list[int]:
    """Return, for each of its connections, what the kernel keeps that the other end has not taken yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[4].split(":")[0], 16) for row in rows if int(row[1].split(":")[1], 16) == chat.port]


async def metric(chat: ChatServer, name: str) -> float:
    """Return what /metrics says, summed over labels; 0 if it says nothing."""
    async with chat.http() as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)
