"""When another Redis takes over, named by sentinels."""

from __future__ import annotations

from pathlib import Path

from chat.broker.address import Address
from chat.exceptions import BrokerUnavailable
from chat.settings import Settings
from tests.members import join
from tests.servers import ChatServer, Process, RedisServer, free_port, until


class SentinelServer(Process):
    """A real sentinel that watches one master, and is satisfied by its own vote."""

    def __init__(self, master: RedisServer) -> None:
        super().__init__()
        self.port = free_port()
        self._master = master

    @property
    def url(self) -> str:
        """What the chat service is to be given."""
        return f"redis+sentinel://127.0.0.1:{self.port}/main/0"

    async def __aenter__(self) -> SentinelServer:
        config = Path(self.folder) / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {self._master.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        )
        self.launch("redis-server", str(config), "--sentinel")
        await until(lambda: self.names(self._master), "the sentinel names the master")
        return self

    async def names(self, redis: RedisServer) -> bool:
        """Whether this is the master, as the sentinel sees it."""
        try:
            return (await Address(self.url).locate())[1] == redis.port
        except BrokerUnavailable:
            return False


async def test_members_stay_when_a_replica_takes_over() -> None:
    """The master dies, its replica is promoted at another address; what is said then reaches who was there before."""
    async with (
        RedisServer() as master,
        RedisServer("--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0") as replica,
        SentinelServer(master) as sentinel,
        ChatServer(CHAT_BROKER_URL=sentinel.url) as chat,
    ):

        async def follows() -> bool:
            return "master_link_status:up" in await replica.cli("info", "replication")

        await until(follows, "the replica follows")
        async with join(chat, "room") as ada, join(chat, "room", token="b", query="name=Bob") as bob:
            await ada.say("before")
            await bob.event("message")

            async def replicated() -> bool:
                return await replica.cli("xlen", "chat:{room}:log") == "1"

            await until(replicated, "the replica has the message")
            await master.kill()
            assert (await bob.event("status"))["state"] == "degraded"
            await until(lambda: sentinel.names(replica), "the replica is the master")
            assert (await bob.event("status"))["state"] == "ok"
            await ada.say("after")
            message = await bob.event("message")
            assert (message["text"], message["offset"]) == ("after", 2)


def test_a_sentinel_url_names_sentinels_service_and_database() -> None:
    """Credentials are for Redis; none of them is shown."""
    address = Address("redis+sentinel://ada:secret@one:1,two/main/3?sentinel_password=other")
    assert (address.username, address.password, address.db) == ("ada", "secret", 3)
    assert str(address) == "main of sentinel one:1, two:26379"
    assert Settings.load(broker_url="redis+sentinel://one/main").broker_url.endswith("/main")
