"""The broker: what carries messages between workers and keeps each room's log."""

from __future__ import annotations

from urllib.parse import urlsplit

from chat.broker.base import Broker
from chat.broker.memory import MemoryBroker
from chat.broker.redis import RedisBroker
from chat.settings import Settings

__all__ = ["Broker", "MemoryBroker", "RedisBroker", "from_settings"]


def from_settings(settings: Settings) -> Broker:
    """Return the broker that `settings.broker_url` names, not yet connected."""
    if urlsplit(settings.broker_url).scheme == "memory":
        return MemoryBroker(settings)
    return RedisBroker(settings)
