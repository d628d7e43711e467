"""`chat bench` as people run it: against a real service, and against ones that lose messages on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from chat.bench.wire import text_of
from tests.servers import PATIENCE, ROOT, ChatServer, RedisServer, free_port

Frames = Callable[[Iterator[bytes]], Iterator[bytes]]

QUICK = ("--members", "5", "--duration", "0.5", "--warmup", "0", "--rate", "20")


async def launch(*arguments: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "chat.cli", "bench", *arguments)
    environment = {**os.environ, **(env or {})}
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe, env=environment)


async def bench(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run it to its end; returns its exit code, standard output and standard error."""
    process = await launch(*arguments, env=env)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE * 2)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def measured(url: str, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Return its exit code and its JSON."""
    code, out, err = await bench(url, *arguments, "--json", "-", env=env)
    assert out, err
    result: dict[str, Any] = json.loads(out)
    return code, result


@pytest.fixture
async def memory() -> AsyncIterator[ChatServer]:
    async with ChatServer() as server:
        yield server


async def test_a_load_is_measured(memory: ChatServer, tmp_path: Path) -> None:
    """Told to people, to programs, and drawn; nothing was lost."""
    plot = tmp_path / "plot.svg"
    found = tmp_path / "found.json"
    arguments = (*QUICK, "--rooms", "2", "--plot", str(plot), "--json", str(found))
    code, out, err = await bench(memory.ws_url(""), *arguments)
    assert code == 0, err
    assert "every member got every message once, in one order" in out
    ElementTree.fromstring(plot.read_text())
    result = json.loads(found.read_text())
    assert result["connected"]["members"] == 10
    assert result["measured"]["messages"] == 20
    assert result["measured"]["deliveries"] == 100
    assert 0 < result["measured"]["latency_ms"]["p50"] <= result["measured"]["latency_ms"]["max"]
    assert result["check"]["sound"]


async def test_progress_is_told_each_second(memory: ChatServer) -> None:
    """On standard error; nothing at all is, if so wished."""
    arguments = ("--members", "5", "--duration", "1.5", "--warmup", "0")
    code, _, err = await bench(memory.ws_url(""), *arguments)
    assert code == 0
    assert "connected 5   deliveries/s" in err
    assert await bench(memory.ws_url(""), *arguments, "--quiet") == (0, "", "")


async def test_messages_in_flight(memory: ChatServer) -> None:
    """As many as the server can take."""
    code, result = await measured(memory.ws_url(""), *QUICK[:-2], "--in-flight", "4")
    assert code == 0
    assert result["measured"]["messages"] > 50


async def test_members_of_several_workers(shared_redis: RedisServer) -> None:
    """It is told how many are on each."""
    async with ChatServer(workers=2, CHAT_BROKER_URL=shared_redis.url) as server:
        code, result = await measured(server.ws_url(""), *QUICK, "--rooms", "4")
    assert code == 0
    assert sum(result["connected"]["by_worker"].values()) == 20


# --- what goes wrong is seen ------------------------------------------------------------------------


@asynccontextmanager
async def meddling(server: ChatServer, with_frames: Frames) -> AsyncIterator[str]:
    """Pass everything on, but for what the server says to the first member, which goes through `with_frames`."""
    first = True

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        far_reader, far = await asyncio.open_connection("127.0.0.1", server.port)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            far.write(await reader.readuntil(b"\r\n\r\n"))  # there is none if it only looks whether somebody listens
            meddled, first = first, False
            upward = asyncio.create_task(pump(reader, far))
            writer.write(await far_reader.readuntil(b"\r\n\r\n"))
            await (meddle(far_reader, writer) if meddled else pump(far_reader, writer))
            await upward
        far.close()
        writer.close()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[bytes] = []
        frames = with_frames(iter(lambda: waiting.pop(0), None))
        while True:
            waiting.append(await read_frame(reader))
            writer.write(next(frames))

    server_side = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server_side.sockets[0].getsockname()[1]}"
    finally:
        server_side.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(2)
    if head[1] == 126:
        head += await reader.readexactly(2)
    length = head[1] if head[1] < 126 else int.from_bytes(head[2:])
    return head + await reader.readexactly(length)


def number(place: int) -> bytes:
    return text_of(place, 0).strip().encode()


def dropping(frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
        yield b"" if number(3) in frame and b'"message"' in frame else frame


def doubling(frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
        yield frame * 2 if number(3) in frame and b'"message"' in frame else frame


def swapping(frames: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for frame in frames:
        if number(3) in frame and b'"message"' in frame:
            held = frame
            yield b""
        elif number(4) in frame:
            yield frame + held
        else:
            yield frame


@pytest.mark.parametrize(
    ("meddle", "wrong"),
    [(dropping, {"lost": 1}), (doubling, {"doubled": 1}), (swapping, {"reordered": 1})],
)
async def test_one_message_that_goes_wrong_for_one_member_is_seen(
    memory: ChatServer, meddle: Frames, wrong: dict[str, int]
) -> None:
    """And the exit code says so."""
    async with meddling(memory, meddle) as url:
        code, out, err = await bench(url, *QUICK, "--json", "-")
    assert code == 1, err
    check = json.loads(out)["check"]
    assert {name: check[name] for name in ("lost", "doubled", "reordered")} == {
        "lost": 0, "doubled": 0, "reordered": 0, **wrong
    }  # fmt: skip


async def test_a_restart_is_survived_and_told(shared_redis: RedisServer) -> None:
    """Members come back, resume, and say again what was not acknowledged."""
    async with ChatServer(CHAT_BROKER_URL=shared_redis.url, CHAT_DRAIN_TIMEOUT="1") as server:
        arguments = ("--members", "10", "--duration", "4", "--warmup", "0", "--json", "-")
        process = await launch(server.ws_url(""), *arguments)
        assert process.stderr is not None
        await asyncio.wait_for(process.stderr.readline(), PATIENCE)
        await server.terminate()
        await server.start()
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE * 2)
    assert process.returncode == 0, err.decode()
    result = json.loads(out)
    assert result["connections"]["lost"] >= 10
    assert result["connections"]["returned"] == result["connections"]["lost"]
    assert result["check"]["sound"]
    assert result["measured"]["messages"] == 40


async def test_interrupted_it_tells_what_was_measured(memory: ChatServer) -> None:
    """With the exit code of an interrupt."""
    process = await launch(memory.ws_url(""), "--members", "5", "--duration", "60", "--warmup", "0", "--json", "-")
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), PATIENCE)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 130, err.decode()
    result = json.loads(out)
    assert result["interrupted"]
    assert result["check"]["sound"]
    assert result["measured"]["deliveries"] > 0


# --- refusals ---------------------------------------------------------------------------------------


async def test_a_rate_limit_is_recognised_before_the_load() -> None:
    """By what the server says in `welcome`."""
    async with ChatServer(CHAT_RATE_LIMIT="5") as server:
        code, _, err = await bench(server.ws_url(""), "--members", "2", "--rate", "20")
    assert code == 2
    assert "CHAT_RATE_LIMIT=0" in err


async def test_a_rate_limit_is_recognised_when_it_is_reached() -> None:
    """By the server's answer."""
    async with ChatServer(CHAT_RATE_LIMIT="5", CHAT_RATE_BURST="5") as server:
        code, _, err = await bench(server.ws_url(""), "--members", "2", "--in-flight", "4")
    assert code == 2
    assert "CHAT_RATE_LIMIT=0" in err


@pytest.mark.parametrize("limit", ["USER", "ADDRESS"])
async def test_a_limit_of_connections_is_recognised(limit: str) -> None:
    """With what to set on the server."""
    settings: dict[str, Any] = {f"CHAT_MAX_CONNECTIONS_PER_{limit}": "3"}
    async with ChatServer(**settings) as server:
        code, _, err = await bench(server.ws_url(""), "--members", "5", "--token", "everybody")
    assert code == 2
    assert f"CHAT_MAX_CONNECTIONS_PER_{limit}=0" in err


async def test_a_server_that_wants_tokens_is_recognised() -> None:
    """And one that gets them is measured."""
    secret = "x" * 32
    async with ChatServer(CHAT_SECRET_KEY=secret) as server:
        code, _, err = await bench(server.ws_url(""), *QUICK)
        assert code == 2
        assert "--token" in err
        token = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chat.cli", "token", "--sub", "ada", "--room", "bench-*"),
            cwd=ROOT,
            env={**os.environ, "CHAT_SECRET_KEY": secret},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await token.communicate()
        code, _, err = await bench(server.ws_url(""), *QUICK, "--token", out.decode().strip())
        assert code == 0, err
        code, _, err = await bench(server.ws_url(""), *QUICK, "--token", out.decode().strip(), "--prefix", "other")
        assert code == 2
        assert "--prefix" in err
    assert out.decode().strip() not in err


async def test_where_nobody_listens_that_is_said() -> None:
    code, _, err = await bench(f"ws://127.0.0.1:{free_port()}")
    assert code == 2
    assert "is the server running?" in err


@pytest.mark.parametrize(
    "arguments", [("--members", "0"), ("--rate", "0"), ("--rate", "1", "--in-flight", "1"), ("--duration", "nan")]
)
async def test_wrong_options_are_told(arguments: tuple[str, ...]) -> None:
    """With exit code 2."""
    code, _, err = await bench(*arguments)
    assert code == 2
    assert "usage: chat bench" in err


async def test_wss(memory: ChatServer, tmp_path: Path) -> None:
    """The certificate is checked; SSL_CERT_FILE names others to trust."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    making = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await making.wait() == 0
    async with through_tls(memory, key, certificate) as url:
        code, _, err = await bench(url, *QUICK)
        assert code == 2
        assert "SSL_CERT_FILE" in err
        code, out, err = await bench(url, *QUICK, env={"SSL_CERT_FILE": str(certificate)})
    assert code == 0, err
    assert "every member got every message once" in out


@asynccontextmanager
async def through_tls(server: ChatServer, key: Path, certificate: Path) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", server.port)
        with suppress(ConnectionError):
            await asyncio.gather(pump(reader, far), pump(far_reader, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server_side = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://localhost:{server_side.sockets[0].getsockname()[1]}"
    finally:
        server_side.close()
