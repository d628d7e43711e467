"""Somebody else's service says who may do what; whatever is no clear yes allows nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Response
from fastapi.responses import RedirectResponse

from chat import create_app
from chat import decisions as module
from chat.decisions import Decisions
from chat.exceptions import DecisionUnavailable, SettingsError
from chat.protocol import User
from chat.rights import Action
from chat.settings import Settings
from tests.backend import BackEnd, back_end
from tests.servers import free_port

ADA = User("ada", "Ada")
SECRET = "between-the-two-of-us-and-nobody-else"


@pytest.fixture
async def asked() -> AsyncIterator[BackEnd]:
    async with back_end() as asked:
        yield asked


@asynccontextmanager
async def asking(url: str, **settings: Any) -> AsyncIterator[Decisions]:
    decisions = Decisions(Settings.load(authorize_url=url, **settings))
    async with decisions.running():
        yield decisions


async def test_it_is_told_who_wants_what_and_who_asks(asked: BackEnd) -> None:
    async with asking(asked.url, authorize_secret=SECRET) as may:
        assert await may(ADA, "tea", Action.PUBLISH)
    assert asked.asked == [{"user": {"id": "ada", "name": "Ada"}, "room": "tea", "action": "publish"}]
    assert asked.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert asked.headers[0]["content-type"] == "application/json"


async def test_without_a_secret_none_is_shown(asked: BackEnd) -> None:
    async with asking(asked.url) as may:
        assert await may(ADA, "tea", Action.SUBSCRIBE)
    assert "authorization" not in asked.headers[0]


@pytest.mark.parametrize("no", [False, Response(status_code=403), Response("<h1>no</h1>", status_code=403)])
async def test_a_no_is_a_no_and_asked_again(asked: BackEnd, no: bool | Response) -> None:
    asked.answer = lambda question: no
    async with asking(asked.url) as may:
        assert not await may(ADA, "tea", Action.PUBLISH)
        asked.answer = lambda question: True
        assert await may(ADA, "tea", Action.PUBLISH)


@pytest.mark.parametrize(
    "unclear",
    [
        Response(status_code=500),
        Response('{"allow": true}', status_code=201),
        Response(status_code=401),
        RedirectResponse("/may"),
        Response(""),
        Response("true"),
        Response("allow"),
        Response('{"allow": "yes"}'),
        Response('{"allow": 1}'),
        Response('{"allowed": true}'),
        Response(json.dumps({"allow": True, "because": "x" * 70_000})),
    ],
)
async def test_what_is_unclear_allows_nothing(asked: BackEnd, unclear: Response) -> None:
    asked.answer = lambda question: unclear
    async with asking(asked.url) as may:
        for _ in range(2):
            with pytest.raises(DecisionUnavailable):
                await may(ADA, "tea", Action.PUBLISH)
        asked.answer = lambda question: True
        assert await may(ADA, "tea", Action.PUBLISH)


async def test_no_answer_allows_nothing(asked: BackEnd, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a slow one nor none; what is secret in the address is not in the log."""
    asked.delay = 2
    async with asking(asked.url, authorize_timeout=0.2) as may:
        with pytest.raises(DecisionUnavailable):
            await may(ADA, "tea", Action.PUBLISH)
    nobody = f"http://user:hunter2@127.0.0.1:{free_port()}/may?key=hunter2"
    async with asking(nobody) as may:
        for _ in range(3):
            with pytest.raises(DecisionUnavailable):
                await may(ADA, "tea", Action.PUBLISH)
    said = [record.getMessage() for record in caplog.records if record.name == "chat.decisions"]
    assert len(said) == 2, "it is said once, not for every question"
    assert "no answer within 0.2 s" in said[0]
    assert "hunter2" not in caplog.text


async def test_a_yes_is_remembered_for_a_short_time(asked: BackEnd) -> None:
    """By person, name, room and action."""

    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    may = Decisions(Settings.load(authorize_url=asked.url, authorize_ttl=10), clock=clock)
    async with may.running():
        for _ in range(3):
            assert await may(ADA, "tea", Action.PUBLISH)
        assert len(asked.asked) == 1
        await may(ADA, "tea", Action.SUBSCRIBE)
        await may(ADA, "coffee", Action.PUBLISH)
        await may(User("bob", "Ada"), "tea", Action.PUBLISH)
        await may(User("ada", "Root"), "tea", Action.PUBLISH)
        assert len(asked.asked) == 5
        clock.now = 10.5
        asked.answer = lambda question: False
        assert not await may(ADA, "tea", Action.PUBLISH)


async def test_nothing_is_remembered_without_a_time(asked: BackEnd) -> None:
    async with asking(asked.url, authorize_ttl=0) as may:
        for _ in range(3):
            assert await may(ADA, "tea", Action.PUBLISH)
    assert len(asked.asked) == 3


async def test_who_asks_the_same_at_the_same_time_waits_for_one_answer(asked: BackEnd) -> None:
    """Also if the first of them goes away."""
    asked.delay = 0.1
    async with asking(asked.url) as may:
        questions = [asyncio.ensure_future(may(ADA, "tea", Action.PUBLISH)) for _ in range(20)]
        await asyncio.sleep(0.02)
        questions[0].cancel()
        assert await asyncio.gather(*questions[1:]) == [True] * 19
    assert len(asked.asked) == 1


async def test_what_is_remembered_is_bounded(asked: BackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    async with asking(asked.url) as may:
        for number in range(20):
            await may(ADA, f"room-{number}", Action.PUBLISH)
        assert len(may._allowed) == 5
        await may(ADA, "room-19", Action.PUBLISH)
    assert len(asked.asked) == 20


async def test_it_ends_with_questions_under_way(asked: BackEnd) -> None:
    asked.delay = 2
    async with asking(asked.url, authorize_timeout=30) as may:
        question = asyncio.ensure_future(may(ADA, "tea", Action.PUBLISH))
        await asyncio.sleep(0.05)
    with pytest.raises(DecisionUnavailable):
        await question
    with pytest.raises(DecisionUnavailable):
        await may(ADA, "tea", Action.PUBLISH)


def test_one_of_the_two_decides() -> None:
    """A function of the app's own, or the service."""

    async def authorize(user: User, room: str, action: Action) -> bool:
        return True

    with pytest.raises(SettingsError, match="CHAT_AUTHORIZE_URL"):
        create_app(Settings.load(authorize_url="https://example.org/may"), authorize=authorize)
