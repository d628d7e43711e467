"""Nobody opens more sockets than are allowed, or asks faster: over all workers, by all ways in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.issuer import SECRET, token
from tests.servers import PATIENCE, ChatServer, RedisServer, until


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Whatever is entered into it is closed in the end."""
    async with AsyncExitStack() as stack:
        yield stack


async def knock(
    server: ChatServer, path: str, stack: AsyncExitStack, **options: Any
) -> ClientConnection | InvalidStatus:
    """Open a socket; returns it, or the refusal."""
    try:
        return await stack.enter_async_context(server.ws(path, open_timeout=PATIENCE, **options))
    except InvalidStatus as refusal:
        return refusal


async def knock_at_once(
    server: ChatServer, count: int, stack: AsyncExitStack, path: str = "/items/tea/ws?token=ada"
) -> tuple[list[ClientConnection], list[InvalidStatus]]:
    answers = await asyncio.gather(*(knock(server, path, stack) for _ in range(count)))
    return (
        [answer for answer in answers if isinstance(answer, ClientConnection)],
        [answer for answer in answers if isinstance(answer, InvalidStatus)],
    )


async def test_the_limit_is_exact_over_all_workers(
    shared_redis: RedisServer, prefix: str, stack: AsyncExitStack
) -> None:
    """Forty sockets of one person at once, on three workers; when they leave there is room again."""
    settings = {
        "CHAT_BROKER_URL": shared_redis.url,
        "CHAT_BROKER_PREFIX": prefix,
        "CHAT_MAX_CONNECTIONS_PER_USER": "10",
    }
    server = await stack.enter_async_context(ChatServer(workers=3, **settings))  # type: ignore[arg-type]
    for _ in range(3):
        inside, refused = await knock_at_once(server, 40, stack)
        assert (len(inside), len(refused)) == (10, 30)
        for refusal in refused:
            assert refusal.response.status_code == 429
            assert refusal.response.headers["Retry-After"] == "5"
            assert json.loads(refusal.response.body or b"")["retry_ms"] == 5000
        others, _ = await knock_at_once(server, 5, stack, "/items/tea/ws?token=bob")
        assert len(others) == 5, "another person has seats of its own"
        for socket in (*inside, *others):
            await socket.close()

        async def empty() -> bool:
            return await shared_redis.cli("KEYS", f"{prefix}:*:user:*") == ""

        await until(empty, "all seats are given back")
    assert "Traceback" not in server.log


async def test_a_browser_is_told_by_a_close_code(stack: AsyncExitStack) -> None:
    server = await stack.enter_async_context(ChatServer(CHAT_MAX_CONNECTIONS_PER_USER="1"))
    options: dict[str, Any] = {"subprotocols": ["chat.v1"], "origin": server.url("")}
    await knock(server, "/items/tea/ws?token=ada", stack, **options)
    second = await knock(server, "/items/tea/ws?token=ada", stack, **options)
    assert isinstance(second, ClientConnection)
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(second.recv(), PATIENCE)
    assert (second.close_code, second.close_reason) == (
        4408,
        "you have 1 connections open already; close one, or try again later",
    )
    async with server.http() as http:
        metrics = (await http.get("/metrics")).text
    assert 'chat_over_limit_total{limit="connections_per_user"} 1.0' in metrics


async def test_an_address_is_what_a_trusted_proxy_says(stack: AsyncExitStack) -> None:
    """Sockets and streams of it count together, whoever they belong to."""
    server = await stack.enter_async_context(ChatServer(CHAT_MAX_CONNECTIONS_PER_ADDRESS="2"))
    http = await stack.enter_async_context(server.http())

    async def from_address(address: str, name: str) -> int:
        headers = {"X-Forwarded-For": address}
        answer = await knock(server, f"/items/tea/ws?token={name}", stack, additional_headers=headers)
        return 101 if isinstance(answer, ClientConnection) else answer.response.status_code

    async def stream(address: str, name: str) -> int:
        path, headers = f"/items/tea/events?token={name}", {"X-Forwarded-For": address}
        return (await stack.enter_async_context(http.stream("GET", path, headers=headers))).status_code

    assert await from_address("192.0.2.1", "ada") == 101
    assert await stream("192.0.2.1", "bob") == 200
    assert await from_address("192.0.2.1", "eve") == 429
    assert await stream("192.0.2.1", "dan") == 429
    assert await from_address("192.0.2.2", "eve") == 101
    assert [await from_address(f"2001:db8::{n}", "eve") for n in (1, 2, 3)] == [101, 101, 429]


async def test_who_is_not_trusted_cannot_say_where_it_comes_from(stack: AsyncExitStack) -> None:
    server = await stack.enter_async_context(
        ChatServer(CHAT_MAX_CONNECTIONS_PER_ADDRESS="1", CHAT_TRUSTED_PROXIES="192.0.2.1")
    )
    answers = [
        await knock(
            server, f"/items/tea/ws?token={n}", stack, additional_headers={"X-Forwarded-For": f"198.51.100.{n}"}
        )
        for n in range(3)
    ]
    assert [isinstance(answer, ClientConnection) for answer in answers] == [True, False, False]
    assert server.log.count("CHAT_TRUSTED_PROXIES") == 1


async def test_a_killed_workers_sockets_do_not_count_for_long(
    shared_redis: RedisServer, prefix: str, stack: AsyncExitStack
) -> None:
    """Within 15 s as many can be open again; never more."""
    settings = {"CHAT_BROKER_URL": shared_redis.url, "CHAT_BROKER_PREFIX": prefix, "CHAT_MAX_CONNECTIONS_PER_USER": "6"}
    server = await stack.enter_async_context(ChatServer(workers=2, **settings))  # type: ignore[arg-type]
    first, second = server.worker_pids()
    with server.only(first):
        dead, _ = await knock_at_once(server, 4, stack)
    with server.only(second):
        alive, _ = await knock_at_once(server, 4, stack)
    assert (len(dead), len(alive)) == (4, 2)
    os.kill(first, signal.SIGKILL)

    async def four_more() -> bool:
        inside, _ = await knock_at_once(server, 8, stack)
        alive.extend(inside)
        assert len(alive) <= 6
        return len(alive) == 6

    await until(four_more, "the dead worker's seats are free", within=15)
    for socket in alive:
        assert (await socket.ping()) is not None


async def test_an_emptied_broker_does_not_let_in_more(own_redis: RedisServer, stack: AsyncExitStack) -> None:
    """Once the workers have shown that they live again; nobody who is in is disturbed."""
    settings = {"CHAT_BROKER_URL": own_redis.url, "CHAT_MAX_CONNECTIONS_PER_USER": "6"}
    server = await stack.enter_async_context(ChatServer(workers=2, **settings))  # type: ignore[arg-type]
    inside, _ = await knock_at_once(server, 6, stack)
    assert len(inside) == 6
    await own_redis.cli("FLUSHALL")

    async def counted() -> bool:
        keys = (await own_redis.cli("KEYS", "chat:*:user:*")).split()
        counts = [int(n) for key in keys for n in (await own_redis.cli("HVALS", key)).split()]
        return sum(counts) == 6

    await until(counted, "the workers have told again who is here")
    more, refused = await knock_at_once(server, 10, stack)
    assert (len(more), len(refused)) == (0, 10)
    for socket in inside:
        assert socket.close_code is None


# --- requests ---

READ, WRITE = "/items/tea/messages", {"text": "hello"}


async def test_requests_of_one_person_are_limited(stack: AsyncExitStack) -> None:
    """Whatever they ask for; others are not, nor is what runs the service."""
    server = await stack.enter_async_context(
        ChatServer(CHAT_SECRET_KEY=SECRET, CHAT_RATE_LIMIT="1", CHAT_RATE_BURST="6")
    )
    http = await stack.enter_async_context(server.http())
    adas, bobs = ({"Authorization": f"Bearer {token(sub=sub)}"} for sub in ("ada", "bob"))
    asked = [
        await http.post(READ, json=WRITE, headers=adas),
        await http.get(READ, headers=adas),
        await http.get("/items/tea/members", headers=adas),
        await http.post("/tokens", headers=adas),
        *[await http.post(READ, json=WRITE, headers=adas) for _ in range(20)],
    ]
    assert [answer.status_code for answer in asked[:6]] == [201, 200, 200, 201, 201, 201]
    refused = [answer for answer in asked[6:] if answer.status_code == 429]
    assert len(refused) > 15
    for answer in refused:
        refusal = answer.json()
        assert refusal["code"] == 4429
        assert 0 < refusal["retry_ms"] <= 60_000
        assert int(answer.headers["Retry-After"]) * 1000 >= refusal["retry_ms"]
    assert (await http.get(READ, headers=bobs)).status_code == 200
    assert (await http.get("/healthz")).status_code == 200
    said = (await http.get(READ, headers=bobs)).json()["messages"]
    assert len(said) == len([answer for answer in asked if answer.status_code == 201 and "offset" in answer.json()])


async def test_tries_to_sign_in_are_limited_by_address(stack: AsyncExitStack) -> None:
    """And so is whoever shows tokens that are not good; somebody at the same address who shows a good one is not."""
    server = await stack.enter_async_context(
        ChatServer(CHAT_SECRET_KEY=SECRET, CHAT_GUESTS="true", CHAT_RATE_LIMIT="1", CHAT_RATE_BURST="5")
    )
    http = await stack.enter_async_context(server.http())
    guesses = [(await http.post("/session", json={"token": f"guess-{n}"})).status_code for n in range(15)]
    assert guesses[:5] == [401] * 5
    assert guesses.count(429) >= 8
    elsewhere = {"X-Forwarded-For": "192.0.2.9"}
    assert (await http.post("/session", json={"name": "Ada"}, headers=elsewhere)).status_code == 201
    http.cookies.clear()
    guesses = [(await http.get(f"{READ}?token=guess-{n}")).status_code for n in range(15)]
    assert guesses[:5] == [401] * 5
    assert guesses.count(429) >= 8
    assert (await http.get(READ)).status_code == 429, "without a token is no better than with a bad one"
    assert (await http.get(READ, headers={"Authorization": f"Bearer {token()}"})).status_code == 200
    assert "guess" not in server.log


async def test_who_is_signed_in_can_be_asked_for_only_so_often(stack: AsyncExitStack) -> None:
    server = await stack.enter_async_context(ChatServer(CHAT_RATE_LIMIT="1", CHAT_RATE_BURST="3"))
    http = await stack.enter_async_context(server.http())
    assert 429 in [(await http.get("/session")).status_code for _ in range(10)]
    assert (await http.delete("/session", headers={"X-Forwarded-For": "192.0.2.9"})).status_code == 204
