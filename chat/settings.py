"""Settings, from environment variables `CHAT_…` or the options of `chat serve`."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chat.exceptions import SettingsError

BROKER_SCHEMES = ("memory", "redis", "rediss", "redis+sentinel", "unix")


LOOPBACK = ("localhost", "127.0.0.1", "::1")
# An address can hold a password.
SECRET = ("CHAT_SECRET_KEY", "CHAT_BROKER_URL", "CHAT_AUTHORIZE_URL", "CHAT_AUTHORIZE_SECRET")
REVOCATIONS = 100_000  # that are remembered; then the oldest are forgotten
SHORTEST_SECRET = 32  # bytes: as long as the hash that HS256 makes of it


def _known_broker(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in BROKER_SCHEMES:
        known = ", ".join(f"{name}://" for name in BROKER_SCHEMES)
        raise ValueError(f"{scheme or 'no'} scheme is not one of {known}; say for example redis://localhost:6379/0")
    return url


def _origins(value: str) -> str:
    for origin in _listed(value):
        parts = urlsplit(origin)
        if not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}" or parts.scheme not in ("http", "https"):
            raise ValueError(f"{origin} is no origin; say for example https://example.org, several with commas between")
    return value


def _listed(value: str) -> list[str]:
    return [part for part in (part.strip() for part in value.split(",")) if part]


def _secrets(value: str) -> str:
    for secret in _listed(value):
        if len(secret.encode()) < SHORTEST_SECRET:
            raise ValueError(
                f"a secret of less than {SHORTEST_SECRET} bytes can be guessed; make one by `openssl rand -hex 32`"
            )
    return value


def _jwks(url: str) -> str:
    parts = urlsplit(url)
    if url and parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("keys are read over https:// only, or over http:// from this machine")
    return url


def _authorize(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("say an address such as https://example.org/may")
    return url


def _bearer(secret: str) -> str:
    if secret and not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ValueError("it goes into a header, so it has to be ASCII without spaces")
    if secret and len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"a secret of less than {SHORTEST_SECRET} bytes can be guessed; make one by `openssl rand -hex 32`"
        )
    return secret


class Settings(BaseSettings):
    """Everything that can be set; each default is safe. Raises `SettingsError` from `load` only."""

    model_config = SettingsConfigDict(env_prefix="CHAT_", frozen=True, extra="ignore", allow_inf_nan=False)

    host: Annotated[str, Field(description="address to listen on; 0.0.0.0 for all")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 8000
    workers: Annotated[int, Field(ge=1, le=1024, description="processes; more than one needs a shared broker")] = 1
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error|critical)$", description="debug, info, warning, error, critical")
    ] = "info"

    allowed_origins: Annotated[
        str,
        AfterValidator(_origins),
        Field(description="origins, with commas between, from which a session cookie counts as well as from our own"),
    ] = ""

    trusted_proxies: Annotated[
        str,
        Field(description="addresses and networks, with commas between, whose X-Forwarded-For and -Proto are believed"),
    ] = "127.0.0.1"

    secret_key: Annotated[
        str,
        AfterValidator(_secrets),
        Field(
            repr=False,
            description="signs sessions and tokens; several with commas between: the first signs, all are accepted",
        ),
    ] = ""
    jwks_url: Annotated[
        str, AfterValidator(_jwks), Field(description="where the public keys are of whoever else issues tokens")
    ] = ""
    jwks_audience: Annotated[str, Field(description="the aud that tokens by these keys must have")] = ""
    jwks_issuer: Annotated[str, Field(description="the iss that tokens by these keys must have")] = ""
    guests: Annotated[bool, Field(description="whether people may sign in under a name, without a token")] = False
    session_ttl: Annotated[int, Field(gt=0, description="seconds that a guest's session lasts")] = 604800
    token_ttl: Annotated[int, Field(gt=0, description="seconds that a token made by POST /tokens lasts at most")] = 3600

    authorize_url: Annotated[
        str,
        AfterValidator(_authorize),
        Field(description="a service that is asked who may do what; see docs/access.md"),
    ] = ""
    authorize_secret: Annotated[
        str,
        AfterValidator(_bearer),
        Field(repr=False, description="shown to that service, so that it knows who asks; at least 32 bytes"),
    ] = ""
    authorize_timeout: Annotated[
        float, Field(gt=0, le=60, description="seconds that it may take to answer before nobody may do anything")
    ] = 2.0
    authorize_ttl: Annotated[
        float, Field(ge=0, le=3600, description="seconds that what it allowed is remembered; 0: not at all")
    ] = 10
    revocation_ttl: Annotated[
        int,
        Field(ge=0, description="seconds that a revocation counts; at least as long as any token lasts; 0: for ever"),
    ] = 2592000

    broker_url: Annotated[
        str,
        AfterValidator(_known_broker),
        Field(description="memory://, redis://, rediss://, redis+sentinel:// or unix://"),
    ] = "memory://"
    broker_prefix: Annotated[
        str, Field(pattern=r"^[\w.:-]{1,64}$", description="what every key and channel in the broker starts with")
    ] = "chat"
    broker_timeout: Annotated[
        float, Field(gt=0, le=60, description="seconds that the broker may take to answer before it counts as away")
    ] = 2.0

    history_size: Annotated[int, Field(ge=0, description="messages kept per room; 0 keeps none")] = 1000
    history_ttl: Annotated[int, Field(ge=0, description="seconds a silent room's messages are kept; 0: for ever")] = (
        86400
    )
    idempotency_ttl: Annotated[int, Field(ge=0, description="seconds a message id is remembered; 0: not at all")] = 600

    max_frame_bytes: Annotated[int, Field(ge=0, description="bytes of one incoming WebSocket message; 0: no limit")] = (
        65536
    )
    max_text_length: Annotated[int, Field(ge=0, description="characters of a message's text; 0: no limit")] = 4000
    rate_limit: Annotated[
        int,
        Field(
            ge=0,
            description="commands per second and connection; and requests over HTTP, per second and person; "
            "0: no limit",
        ),
    ] = 20
    rate_burst: Annotated[int, Field(ge=1, description="commands or requests that may come at once")] = 40
    max_connections: Annotated[int, Field(ge=0, description="connections per worker; 0: no limit")] = 50000
    max_connections_per_user: Annotated[
        int, Field(ge=0, description="connections of one person, over all workers; 0: no limit")
    ] = 20
    max_connections_per_address: Annotated[
        int, Field(ge=0, description="connections from one address, over all workers; 0: no limit")
    ] = 200
    compress_from: Annotated[
        int,
        Field(ge=0, description="bytes from which a message is compressed for clients that offer it; 0: none is"),
    ] = 0
    send_buffer_bytes: Annotated[
        int,
        Field(ge=4096, description="bytes that may wait unsent for one member before it is taken off the live list"),
    ] = 1048576
    stall_timeout: Annotated[
        float, Field(ge=0, description="seconds after which a member that reads nothing is closed; 0: never")
    ] = 30
    heartbeat: Annotated[float, Field(ge=0, description="seconds between pings; 0: none")] = 25
    pong_timeout: Annotated[float, Field(gt=0, description="seconds to wait for the answer to a ping")] = 8
    presence_grace: Annotated[
        float, Field(ge=0, description="seconds without a socket before a person counts as gone")
    ] = 10
    handshake_timeout: Annotated[
        float, Field(ge=0, description="seconds in which a client has to say what it wants; 0: any time")
    ] = 10
    drain_timeout: Annotated[int, Field(ge=0, description="seconds from SIGTERM to the last close")] = 20

    @cached_property
    def origins(self) -> frozenset[str]:
        """`allowed_origins`, one by one."""
        return frozenset(_listed(self.allowed_origins.lower()))

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """`secret_key`, one by one."""
        return tuple(_listed(self.secret_key))

    def kept(self, log: str) -> tuple[int, int]:
        """Return how many messages of a log are kept, and for how many seconds; 0: for ever.

        A room is as it is set. What is no room, and begins with `!`, is one of our own: revocations.
        """
        if log.startswith("!"):
            return REVOCATIONS, self.revocation_ttl
        return self.history_size, self.history_ttl

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment, `values` taking precedence; raise `SettingsError` that names each wrong one."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(_sentence(detail) for detail in error.errors())) from None


@lru_cache
def workers_settings() -> Settings:
    """Return what the server of this process is set to; workers are processes that read it for themselves."""
    return Settings.load()


def _sentence(detail: Any) -> str:
    name = "CHAT_" + "_".join(str(part) for part in detail["loc"]).upper()
    reason = detail["msg"].removeprefix("Value error, ")
    shown = "" if name in SECRET else f" (it is {detail['input']!r})"
    return f"{name}: {reason}{shown}"
