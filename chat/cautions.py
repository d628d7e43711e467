"""Settings that are right one by one, but unsafe where the service looks like running."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from chat.settings import LOOPBACK, Settings

FEW_CHARACTERS = 10  # different ones; a random secret of 32 bytes has more, in whatever way it is written
LIMITS = (
    "max_frame_bytes",
    "max_connections",
    "max_connections_per_user",
    "max_connections_per_address",
    "rate_limit",
    "handshake_timeout",
    "stall_timeout",
)


def cautions(settings: Settings) -> list[str]:
    """Return a sentence for each; none of them is a reason not to start."""
    said = [*_about_credentials(settings), *_about_the_way(settings)]
    if settings.host not in LOOPBACK:
        said += _about_strangers(settings)
    return said


def _about_credentials(settings: Settings) -> Iterator[str]:
    if settings.jwks_url and not settings.jwks_audience:
        yield "CHAT_JWKS_URL without CHAT_JWKS_AUDIENCE: tokens that were issued for other applications count as well"
    if any(len(set(secret)) < FEW_CHARACTERS for secret in settings.secrets):
        yield "a secret in CHAT_SECRET_KEY repeats itself, and can be guessed; make one by `openssl rand -hex 32`"


def _about_the_way(settings: Settings) -> Iterator[str]:
    for origin in sorted(settings.origins):
        if _is_open(origin):
            yield (
                f"CHAT_ALLOWED_ORIGINS has {origin}: whoever is on the way can change its pages and use session "
                "cookies by them"
            )
    if _is_open(settings.authorize_url):
        yield "CHAT_AUTHORIZE_URL is not https: whoever is on the way can read its secret, and say who may do what"


def _about_strangers(settings: Settings) -> Iterator[str]:
    """Everybody can reach the address."""
    if not settings.secrets and not settings.jwks_url:
        yield (
            f"open mode on {settings.host}: whoever reaches this address is let in with any token, under any name; set "
            "CHAT_SECRET_KEY or CHAT_JWKS_URL"
        )
    if any(map(_is_everybody, settings.trusted_proxies.split(","))):
        yield (
            f"CHAT_TRUSTED_PROXIES is {settings.trusted_proxies}: whoever reaches this address can say that it is "
            "somebody else"
        )
    if off := [f"CHAT_{limit.upper()}" for limit in LIMITS if not getattr(settings, limit)]:
        verb = "is" if len(off) == 1 else "are"
        yield f"{', '.join(off)} {verb} 0 on {settings.host}: whoever reaches this address can use up the machine"


def _is_open(address: str) -> bool:
    """Whether what goes there can be read and changed on the way."""
    return address.startswith("http://") and urlsplit(address).hostname not in LOOPBACK


def _is_everybody(proxy: str) -> bool:
    try:
        return proxy.strip() == "*" or ipaddress.ip_network(proxy.strip(), strict=False).prefixlen == 0
    except ValueError:
        return False
