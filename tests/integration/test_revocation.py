"""What is revoked ends on every worker, and does not come back."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress

import httpx

from tests.issuer import SECRET, token
from tests.members import join
from tests.servers import PATIENCE, ChatServer, RedisServer, until


async def revoke(server: ChatServer, shown: str, **what: str) -> int:
    async with server.http() as http:
        answer = await http.post("/revocations", json=what, headers={"Authorization": f"Bearer {shown}"})
        return answer.status_code


async def test_a_persons_sockets_end_on_every_worker(shared_redis: RedisServer, prefix: str) -> None:
    """And streams; others stay. A token that is made later counts."""
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_BROKER_URL": shared_redis.url, "CHAT_BROKER_PREFIX": prefix}
    admin, adas, bobs = token(sub="root", admin=True), token(iat=int(time.time()) - 5), token(sub="bob")
    async with AsyncExitStack() as stack, ChatServer(workers=2, **settings) as server:  # type: ignore[arg-type]
        members = []
        for worker in server.worker_pids():
            with server.only(worker):
                members.append(await stack.enter_async_context(join(server, "tea", token=adas)))
        bob = await stack.enter_async_context(join(server, "tea", token=bobs))
        assert await revoke(server, admin, user="ada") == 204
        async with asyncio.timeout(PATIENCE):
            for member in members:
                assert await member.closed() == (4401, "the token was revoked")
        assert (await bob.ask("publish", text="still here"))["type"] == "ack"
        async with server.http() as http:
            for _ in range(6):
                answer = await http.get(f"/items/tea/members?token={adas}")
                assert (answer.status_code, answer.json()["message"]) == (401, "the token was revoked")
        fresh = token(iat=int(time.time()) + 5)
        async with join(server, "tea", token=fresh) as ada:
            assert (await ada.ask("publish", text="back"))["type"] == "ack"
        await server.terminate()
        assert "Traceback" not in server.log

    async with ChatServer(**settings) as server, server.http() as http:  # type: ignore[arg-type]
        assert (await http.get(f"/items/tea/members?token={adas}")).status_code == 401, "it was revoked before"
        assert (await http.get(f"/items/tea/members?token={bobs}")).status_code == 200


async def test_a_revocation_outlives_what_was_said(shared_redis: RedisServer, prefix: str) -> None:
    """However little of that is kept, and however many others are revoked later."""
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_BROKER_URL": shared_redis.url, "CHAT_BROKER_PREFIX": prefix}
    few = {"CHAT_HISTORY_SIZE": "0", "CHAT_HISTORY_TTL": "1"}
    async with ChatServer(**settings, **few) as server:  # type: ignore[arg-type]
        for user in ("ada", "bob", "eve"):
            assert await revoke(server, token(sub="root", admin=True), user=user) == 204
    await asyncio.sleep(1.5)
    async with ChatServer(**settings, **few) as server, server.http() as http:  # type: ignore[arg-type]
        earlier = token(iat=int(time.time()) - 60)
        assert (await http.get(f"/items/tea/members?token={earlier}")).status_code == 401


async def test_nobody_is_let_in_before_it_is_known_who_is_revoked(own_redis: RedisServer) -> None:
    """A service that starts while its broker is away cannot tell, and says so."""
    async with ChatServer(CHAT_SECRET_KEY=SECRET, CHAT_BROKER_URL=own_redis.url) as server:
        assert await revoke(server, token(sub="root", admin=True), user="ada") == 204
    own_redis.pause()
    adas = {"Authorization": f"Bearer {token(iat=int(time.time()) - 60)}"}
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_BROKER_URL": own_redis.url, "CHAT_BROKER_TIMEOUT": "0.5"}
    async with ChatServer(wait=False, **settings) as server, server.http() as http:  # type: ignore[arg-type]

        async def there() -> bool:
            with suppress(httpx.TransportError):
                return (await http.get("/healthz")).status_code == 200
            return False

        await until(there, "the service is there", told=server)
        assert (await http.post("/tokens", headers=adas)).status_code == 503
        own_redis.resume()

        async def knows() -> bool:
            answer = await http.post("/tokens", headers=adas)
            assert answer.status_code in (503, 401), "a token that was revoked made another one"
            return answer.status_code == 401

        await until(knows, "the service knows who is revoked")


async def test_one_token_ends_and_the_persons_others_stay() -> None:
    async with (
        ChatServer(CHAT_SECRET_KEY=SECRET) as server,
        join(server, "tea", token=token(jti="lost")) as lost,
        join(server, "tea", token=token(jti="kept")) as kept,
    ):
        assert await revoke(server, token(admin=True), token="lost") == 204
        async with asyncio.timeout(PATIENCE):
            assert (await lost.closed())[0] == 4401
        assert (await kept.ask("publish", text="still here"))["type"] == "ack"
        refusal = await kept.ask("refresh", token=token(jti="lost"))
        assert refusal["code"] == "unauthenticated"


async def test_only_an_admin_revokes() -> None:
    async with ChatServer(CHAT_SECRET_KEY=SECRET) as server:
        assert await revoke(server, token(), user="bob") == 403
        assert await revoke(server, "secret", user="bob") == 401
        assert await revoke(server, token(admin=True)) == 422
    async with ChatServer() as server:
        assert await revoke(server, "any", user="bob") == 403
