"""Django Channels with a Redis layer, on uvicorn and uvloop; `pubsub` takes the layer that uses Redis' own."""

from __future__ import annotations

import sys

import django  # type: ignore[import-not-found]
import uvicorn
from django.conf import settings  # type: ignore[import-not-found]

PORT, REDIS, LAYER = int(sys.argv[1]), sys.argv[2], sys.argv[3]

settings.configure(
    SECRET_KEY="not used",  # there are no sessions here
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": {
                "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "queue": "channels_redis.core.RedisChannelLayer",
            }[LAYER],
            "CONFIG": {"hosts": [REDIS]},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # noqa: E402  Django wants to be set up first
from channels.routing import URLRouter  # type: ignore[import-untyped]  # noqa: E402
from django.urls import path  # type: ignore[import-not-found]  # noqa: E402


class Member(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One connection."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(self.room, {"type": "said", "text": text_data})

    async def said(self, event: dict[str, str]) -> None:
        await self.send(text_data=event["text"])


if __name__ == "__main__":
    uvicorn.run(
        URLRouter([path("items/<room>/ws", Member.as_asgi())]),
        port=PORT,
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )
