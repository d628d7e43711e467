"""Where Redis is and how to sign in there, from a URL."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from chat.exceptions import BrokerUnavailable, SettingsError

SENTINEL_SCHEME = "redis+sentinel"
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT = 1.0  # seconds that one of several sentinels may take


class Address:
    """One Redis, or the master that sentinels name; raises `SettingsError` for a URL that cannot be read.

    `redis://user:password@host:6379/0`, `rediss://` for TLS, `unix://user:password@/path?db=0`: as redis-py reads them.
    `redis+sentinel://user:password@host1:26379,host2:26379/service/0?sentinel_password=…`.
    """

    def __init__(self, url: str) -> None:
        self._sentinels: list[tuple[str, int]] = []
        self._service = ""
        try:
            options: dict[str, Any] = dict(parse_url(self._without_sentinels(url)))
        except ValueError as error:
            raise SettingsError(f"CHAT_BROKER_URL cannot be read: {error}") from None
        kind = options.get("connection_class", Connection)
        self.path: str | None = options.get("path") if kind is UnixDomainSocketConnection else None
        self.db: int = options.get("db", 0)
        self.username: str = options.get("username") or "default"
        self.password: str | None = options.get("password")
        self.tls = _tls(options) if kind is SSLConnection else None
        self._host: str = options.get("host", "localhost")
        self._port: int = options.get("port", 6379)
        self._sentinel_password: str | None = options.get("sentinel_password")

    def __str__(self) -> str:
        """Without the credentials."""
        if self._sentinels:
            return f"{self._service} of sentinel " + ", ".join(f"{host}:{port}" for host, port in self._sentinels)
        return self.path or f"{self._host}:{self._port}/{self.db}"

    async def locate(self) -> tuple[str, int]:
        """Return host and port, asked for anew each time: after a failover they are others."""
        if not self._sentinels:
            return self._host, self._port
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            self._sentinels,
            sentinel_kwargs={"password": self._sentinel_password, "socket_timeout": SENTINEL_TIMEOUT},
        )
        try:
            host, port = await sentinel.discover_master(self._service)
        except RedisError as error:
            raise BrokerUnavailable(f"no sentinel knows the master of {self._service}: {error}") from None
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        return str(host), int(port)

    def _without_sentinels(self, url: str) -> str:
        """Note the sentinels and the service; return the rest as a URL that redis-py can read."""
        parts = urlsplit(url)
        if parts.scheme != SENTINEL_SCHEME:
            return url
        credentials, at, hosts = parts.netloc.rpartition("@")
        self._service, _, db = unquote(parts.path).strip("/").partition("/")
        if not hosts or not self._service:
            raise ValueError("say redis+sentinel://host1:26379,host2:26379/service")
        for host in hosts.split(","):
            name, _, port = host.partition(":")
            self._sentinels.append((name, int(port or SENTINEL_PORT)))
        return f"redis://{credentials}{at}master/{db}?{parts.query}"


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path"))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), options.get("ssl_password"))
    if str(options.get("ssl_check_hostname", True)).lower() in {"false", "no", "0"}:
        context.check_hostname = False
    if str(options.get("ssl_cert_reqs", "required")).lower() == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
