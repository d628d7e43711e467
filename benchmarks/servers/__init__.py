"""The servers that are compared: how each is started and spoken to, and what must be there for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).parent.parent / ".peers"  # what benchmarks.install has put there

DEBIAN = str(PEERS / "debian")

TUTORIAL = "tutorial"
FLOOR = "bare"
JOINED = "bare-joined"
NCHAN = "nchan"
NATS = "nats"
OURS = "chat"

# What is measured is the delivery; limits against abuse would only stop the load.
NO_LIMITS = {
    "CHAT_RATE_LIMIT": "0",
    "CHAT_MAX_CONNECTIONS_PER_USER": "0",
    "CHAT_MAX_CONNECTIONS_PER_ADDRESS": "0",
}


@dataclass(frozen=True)
class Server:
    """One row of the comparison."""

    label: str  # in Markdown
    short: str  # in a plot
    command: Callable[[int, str], list[str]]  # from port and Redis URL
    dialect: str = "plain"
    env: Mapping[str, str] = field(default_factory=dict)
    redis: bool = False  # whether it uses the Redis it is told of
    missing: Callable[[], str | None] = lambda: None  # why it cannot be run here


def _module(name: str, *arguments: str) -> Callable[[int, str], list[str]]:
    return lambda port, redis: [sys.executable, "-m", f"benchmarks.servers.{name}", str(port), *arguments]


def _peer(
    name: str, *arguments: str, redis: bool = False, environment: str = "python"
) -> Callable[[int, str], list[str]]:
    """Run by the peers' own Python."""

    def command(port: int, url: str) -> list[str]:
        words = [str(port), *([url] if redis else []), *arguments]
        return [str(PEERS / environment / "bin" / "python"), "-m", f"benchmarks.servers.{name}", *words]

    return command


def _node(port: int, redis: str) -> list[str]:
    return ["node", str(Path(__file__).parent / "ws_redis.js"), str(port), redis]


def _needs(path: str) -> Callable[[], str | None]:
    kind = path.partition("/")[0]
    return lambda: None if (PEERS / path).exists() else f"python -m benchmarks.install {kind} has not been run"


def _chat(broker: str | None = None) -> Callable[[int, str], list[str]]:
    def command(port: int, redis: str) -> list[str]:
        return [sys.executable, "-m", "chat.cli", "serve", "--port", str(port), "--broker-url", broker or redis]

    return command


SERVERS = {
    FLOOR: Server(
        "floor: bare uvloop protocol, one write per message and socket", "floor: bare uvloop protocol", _module("bare")
    ),
    JOINED: Server(
        "floor: bare uvloop protocol, due frames joined", "floor: the same, frames joined", _module("bare", "joined")
    ),
    TUTORIAL: Server(
        "FastAPI tutorial's manager, one process, no Redis, deflate off",
        "FastAPI tutorial's manager",
        _module("tutorial"),
    ),
    OURS: Server(
        "**chat-broadcaster**, Redis, `chat.v1`",
        "chat-broadcaster, Redis, chat.v1",
        _chat(),
        dialect="chat.v1",
        env=NO_LIMITS,
        redis=True,
    ),
    "chat-plain": Server(
        "**chat-broadcaster**, Redis, plain text",
        "chat-broadcaster, Redis, plain text",
        _chat(),
        env=NO_LIMITS,
        redis=True,
    ),
    "chat-memory": Server(
        "**chat-broadcaster**, memory, `chat.v1`",
        "chat-broadcaster, memory, chat.v1",
        _chat("memory://"),
        dialect="chat.v1",
        env=NO_LIMITS,
    ),
    "broadcaster-memory": Server(
        "broadcaster's example, memory",
        "broadcaster's example, memory",
        _peer("broadcaster_rooms", "memory://", environment="broadcaster"),
        missing=_needs("broadcaster/bin/python"),
    ),
    "broadcaster": Server(
        "broadcaster's example + Redis",
        "broadcaster's example + Redis",
        _peer("broadcaster_rooms", redis=True, environment="broadcaster"),
        redis=True,
        missing=_needs("broadcaster/bin/python"),
    ),
    "websockets": Server(
        "python-websockets `broadcast()`", "python-websockets broadcast()", _module("websockets_broadcast")
    ),
    "picows": Server("picows", "picows", _peer("picows_rooms"), missing=_needs("python/bin/python")),
    "ws": Server(
        "Node `ws` + Redis",
        "Node ws + Redis",
        _node,
        env={"NODE_PATH": str(PEERS / "node" / "node_modules")},
        redis=True,
        missing=_needs("node/node_modules/ws"),
    ),
    NCHAN: Server("nchan (C, in nginx)", "nchan", _module("nchan", DEBIAN), missing=_needs("debian/usr/sbin/nginx")),
    NATS: Server(
        "nats-server (Go)",
        "nats-server",
        _module("nats", DEBIAN),
        dialect="nats",
        missing=_needs("debian/usr/sbin/nats-server"),
    ),
    "socketio": Server(
        "python-socketio + Redis",
        "python-socketio + Redis",
        _peer("socketio_rooms", redis=True),
        dialect="socket.io",
        redis=True,
        missing=_needs("python/bin/python"),
    ),
    "channels-pubsub": Server(
        "Django Channels, pub/sub layer",
        "Django Channels, pub/sub layer",
        _peer("channels_rooms", "pubsub", redis=True),
        redis=True,
        missing=_needs("python/bin/python"),
    ),
    "channels": Server(
        "Django Channels, Redis layer",
        "Django Channels, Redis layer",
        _peer("channels_rooms", "queue", redis=True),
        redis=True,
        missing=_needs("python/bin/python"),
    ),
}
