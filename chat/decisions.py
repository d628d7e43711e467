"""Who may do what, asked of somebody else's service over HTTP."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from chat import metrics
from chat.exceptions import DecisionUnavailable
from chat.protocol import User
from chat.rights import Action
from chat.settings import Settings

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("chat.decisions")

MOST = 10_000  # questions that are remembered; then those asked longest ago are asked again
MOST_BYTES = 65_536  # of an answer
AT_ONCE = 100  # questions under way; more wait for their turn


class Question(NamedTuple):
    """May somebody do that there?"""

    user: User
    room: str
    action: Action


class _Decision(msgspec.Struct):
    allow: bool


class _NoDecisionError(Exception):
    """What came back decides nothing."""


class Decisions:
    """An `Authorize` that asks the service at `CHAT_AUTHORIZE_URL`, and remembers for a short time what it allowed.

    The question is JSON, `{"user": {"id", "name"}, "room", "action"}`; the answer is 200 with `{"allow": true}` or
    false, or 403. Whatever else comes back, or nothing in time, allows nothing: that is told by `DecisionUnavailable`.
    Who asks the same at the same time waits for one answer.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = settings.authorize_url
        self._secret = settings.authorize_secret
        self._timeout = settings.authorize_timeout
        self._ttl = settings.authorize_ttl
        self._clock = clock
        self._client: httpx.AsyncClient | None = None  # while it runs
        self._allowed: OrderedDict[Question, float] = OrderedDict()  # until when, the newest last
        self._asking: dict[Question, asyncio.Task[bool]] = {}
        self._complaint = ""  # said once, not again for every question

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be able to ask for as long as the block lasts."""
        import httpx  # noqa: PLC0415 - it takes 80 ms and some memory, which nobody pays for who does not ask

        async with httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._secret}"} if self._secret else {},
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            verify=ssl.create_default_context(),  # what the system trusts
            trust_env=False,  # the secret goes to nobody in between
        ) as client:
            self._client = client
            try:
                yield
            finally:
                for task in self._asking.values():
                    task.cancel()
                await asyncio.gather(*self._asking.values(), return_exceptions=True)
                self._client = None

    async def __call__(self, user: User, room: str, action: Action) -> bool:
        """Return whether somebody may; raises `DecisionUnavailable`."""
        question = Question(user, room, action)
        if self._allowed.get(question, 0.0) > self._clock():
            metrics.decisions.labels(outcome="remembered").inc()
            return True
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.get_running_loop().create_task(self._ask(question))
            task.add_done_callback(lambda done: self._answered(question, done))
        await asyncio.wait({task})  # whoever goes away meanwhile does not take the answer from the others
        if task.cancelled():
            raise DecisionUnavailable("this worker is about to stop")
        return task.result()

    def _answered(self, question: Question, task: asyncio.Task[bool]) -> None:
        del self._asking[question]
        if not task.cancelled():
            task.exception()  # taken notice of, even if nobody waits any more

    async def _ask(self, question: Question) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                allow = await self._answer(question)
        except Exception as error:  # whatever it is, it allows nothing
            metrics.decisions.labels(outcome="failed").inc()
            self._complain(error)
            raise DecisionUnavailable("it cannot be found out at the moment who may do what") from error
        self._recovered()
        metrics.decisions.labels(outcome="allowed" if allow else "denied").inc()
        if allow and self._ttl:
            self._remember(question)
        return allow

    async def _answer(self, question: Question) -> bool:
        if self._client is None:
            raise _NoDecisionError("it is not asked yet, or no more")
        body = msgspec.json.encode(question._asdict())
        headers = {"Content-Type": "application/json"}
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            said = b""
            async for piece in response.aiter_bytes():
                said += piece
                if len(said) > MOST_BYTES:
                    raise _NoDecisionError(f"the answer has more than {MOST_BYTES} bytes")
        if response.status_code == 403:
            return False
        if response.status_code != 200:
            raise _NoDecisionError(f"the answer is {response.status_code}")
        return msgspec.json.decode(said, type=_Decision).allow

    def _remember(self, question: Question) -> None:
        self._allowed[question] = self._clock() + self._ttl
        self._allowed.move_to_end(question)
        if len(self._allowed) > MOST:
            self._allowed.popitem(last=False)

    def _complain(self, error: Exception) -> None:
        complaint = f"no answer within {self._timeout:g} s" if isinstance(error, TimeoutError) else str(error)
        if (complaint := complaint or type(error).__name__) != self._complaint:
            self._complaint = complaint
            logger.warning("who may do what cannot be asked at %s: %s", _shown(self._url), complaint)

    def _recovered(self) -> None:
        if self._complaint:
            self._complaint = ""
            logger.info("who may do what can be asked again at %s", _shown(self._url))


def _shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
