"""A chat.v1 client that comes back by itself and loses nothing; docs/protocol.md explains the rules it keeps.

    python -m examples.client ws://localhost:8000/items/kitchen/ws --token secret-of-ada --name Ada

Every line that is typed is said; what is said is printed. An empty line or Ctrl+D ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import threading
import time
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

GIVE_UP = {1008, 4400, 4401, 4403, 4413}  # coming back would not help
GIVE_UP_STATUS = {401, 403, 404, 413, 422}  # the same, told before the handshake is complete


class Refused(Exception):
    """The server will not have us, and coming back would not help."""


class Client:
    """One member of one room, over connections that come and go."""

    def __init__(self, url: str, **query: str) -> None:
        self.url = url
        self.query = query
        self.epoch = ""
        self.offset: int | None = None  # of the newest message that was shown; None before the first
        self.unsaid: dict[str, str] = {}  # by message id: not acknowledged yet
        self.all_said = asyncio.Event()  # nothing is unsaid
        self.stay_away: float | None = None  # until when the server asked us to, by the monotonic clock
        self._socket: ClientConnection | None = None  # once `welcome` has come
        self._again: dict[str, asyncio.Task[None]] = {}  # by message id: waits before it is sent again

    async def stay(self) -> None:
        """Connect, and connect again, until the server says that it is no use; raises `Refused` then."""
        failures = 0
        while True:
            try:
                async with connect(self._address(), subprotocols=["chat.v1"]) as socket:  # type: ignore[list-item]
                    async for frame in socket:
                        failures = 0
                        await self._take(json.loads(frame), socket)
                    reason = (socket.close_code, socket.close_reason)
            except InvalidStatus as error:
                if error.response.status_code in GIVE_UP_STATUS:
                    raise Refused(bytes(error.response.body or b"").decode()) from None
                reason = (error.response.status_code, "")
            except ConnectionClosed as error:
                reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
            except (OSError, TimeoutError) as error:
                reason = (1006, str(error))
            finally:
                self._socket = None
            if reason[0] in GIVE_UP:
                raise Refused(reason[1])
            if self.stay_away is not None:
                pause, self.stay_away = max(self.stay_away - time.monotonic(), 0), None
            else:
                pause = random.uniform(0.5, 1) * min(0.5 * 2**failures, 15)
                failures += 1
            show(f"-- away {reason}, back in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def say(self, text: str) -> None:
        """Keep it until it is acknowledged, and send it now if there is a connection."""
        id = str(uuid.uuid4())
        self.unsaid[id] = text
        self.all_said.clear()
        await self._send(id)

    def _address(self) -> str:
        query = dict(self.query)
        if self.offset is not None:
            query["since"] = f"{self.epoch}:{self.offset}"
        return f"{self.url}?{urlencode(query)}"

    async def _take(self, event: dict[str, Any], socket: ClientConnection) -> None:
        match event["type"]:
            case "welcome":
                show(f"-- {event['room']}: {event['count']} here")
                if self.offset is None:
                    self.epoch = event["epoch"]
                    self.offset = 0 if event["offset"] == 0 else None  # else the newest messages follow
                self._socket = socket
                for id in list(self.unsaid):  # the same ids: what arrived before is not said twice
                    await self._send(id)
            case "message":
                self.offset = event["offset"]
                show(f"{event['user']['name']}: {event.get('text', event.get('data', event.get('binary')))}")
            case "gap":
                self.epoch, self.offset = event["epoch"], event["before"] - 1
                show(f"-- messages are missing here ({event['reason']})")
            case "ack":
                self._done(event["id"])
            case "error" if event.get("id") in self.unsaid:
                if "retry_ms" in event:
                    self._again[event["id"]] = asyncio.create_task(self._send(event["id"], after=event["retry_ms"]))
                else:
                    show(f"-- not said: {self._done(event['id'])} ({event['message']})")
            case "draining":
                self.stay_away = time.monotonic() + event["retry_ms"] / 1000
            case "status":
                show(f"-- {event['state']}")

    def _done(self, id: str) -> str | None:
        text = self.unsaid.pop(id, None)
        self._again.pop(id, None)
        if not self.unsaid:
            self.all_said.set()
        return text

    async def _send(self, id: str, *, after: int = 0) -> None:
        await asyncio.sleep(after / 1000)
        if self._socket is None or id not in self.unsaid:
            return
        with suppress(ConnectionClosed):  # it is sent again after the next welcome
            await self._socket.send(json.dumps({"type": "publish", "id": id, "text": self.unsaid[id]}))


def show(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Chat in a room from the terminal.")
    parser.add_argument("url")
    parser.add_argument("--token", required=True)
    parser.add_argument("--name")
    options = parser.parse_args()
    client = Client(options.url, token=options.token, **({"name": options.name} if options.name else {}))
    staying = asyncio.create_task(client.stay())
    typing = asyncio.create_task(say_lines(client))
    await asyncio.wait({staying, typing}, return_when=asyncio.FIRST_COMPLETED)
    if staying.done():
        raise SystemExit(f"refused: {staying.exception()}")
    staying.cancel()


async def say_lines(client: Client) -> None:
    """Say every line until the input ends and all is acknowledged."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()  # a daemon: nobody waits for its next line at the end
    while line := await lines.get():
        await client.say(line)
    if client.unsaid:
        await client.all_said.wait()


if __name__ == "__main__":
    asyncio.run(main())
