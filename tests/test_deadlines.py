"""One timer for all who have the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from chat.deadlines import Deadlines
from tests.servers import until


async def test_whoever_waits_for_too_long_is_called_in_turn() -> None:
    """Each after its own time, the oldest first, once."""
    loop = asyncio.get_running_loop()
    late: list[tuple[str, float]] = []
    deadlines = Deadlines[str](0.2, lambda who: late.append((who, loop.time())))
    began = {}
    for who in "abc":
        deadlines.begin(who)
        began[who] = loop.time()
        await asyncio.sleep(0.02)
    deadlines.begin("a")  # it waits already
    await until(lambda: len(late) == 3, "all are late")
    await asyncio.sleep(0.25)
    assert [who for who, _ in late] == ["a", "b", "c"]
    assert all(when - began[who] >= 0.195 for who, when in late)
    assert all(later - earlier > 0.005 for (_, earlier), (_, later) in pairwise(late))


async def test_who_need_not_wait_any_more_is_not_called() -> None:
    """Nor does it hold up those behind it; and it may begin again."""
    late: list[str] = []
    deadlines = Deadlines[str](0.02, late.append)
    deadlines.begin("a")
    deadlines.begin("b")
    deadlines.end("a")
    deadlines.end("nobody")
    await until(lambda: late == ["b"], "the other one is late")
    deadlines.begin("a")
    await until(lambda: late == ["b", "a"], "it is late this time")


async def test_whoever_is_called_may_begin_again() -> None:
    """As a ping does that is answered at once."""
    late: list[str] = []

    def again(who: str) -> None:
        late.append(who)
        if len(late) < 3:
            deadlines.begin(who)

    deadlines = Deadlines[str](0.01, again)
    deadlines.begin("a")
    await until(lambda: len(late) == 3, "it was called three times")


async def test_one_timer_is_enough_for_all_who_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are called, and whatever one of them does wrong."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at

    def counted(*args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(call_at(*args, **options))
        return timers[-1]

    called: Counter[int] = Counter()

    def again(who: int) -> None:
        deadlines.begin(who)
        called[who] += 1
        if who == 0:
            raise RuntimeError("on purpose")

    monkeypatch.setattr(loop, "call_at", counted)
    loop.set_exception_handler(lambda loop, context: None)
    deadlines = Deadlines[int](0.02, again)
    for who in range(10):
        deadlines.begin(who)
        await asyncio.sleep(0.001)
    await until(lambda: min(called[who] for who in range(10)) >= 5, "all were called five times")
    assert max(called.values()) <= min(called.values()) + 1
    now = loop.time()
    ours = [timer for timer in timers if "_look" in repr(timer)]
    assert len([timer for timer in ours if timer.when() > now and not timer.cancelled()]) == 1


async def test_without_a_time_nobody_is_late() -> None:
    """0 seconds means never."""
    late: list[str] = []
    deadlines = Deadlines[str](0.0, late.append)
    deadlines.begin("a")
    await asyncio.sleep(0.02)
    assert not late


async def test_an_event_loop_shares_them() -> None:
    """By time and call."""
    loop, late = asyncio.get_running_loop(), list[str]().append
    assert Deadlines.shared(loop, 1.0, late) is Deadlines.shared(loop, 1.0, late)
    assert Deadlines.shared(loop, 1.0, late) is not Deadlines.shared(loop, 2.0, late)
