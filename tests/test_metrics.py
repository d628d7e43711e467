"""Counters of what happens with every message."""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from chat import metrics
from tests.servers import until


def exported() -> float:
    """Return what anybody reads who does not ask us to settle first."""
    return REGISTRY.get_sample_value("chat_published_total") or 0.0


async def test_what_was_counted_is_told_soon() -> None:
    """Without anybody asking for it."""
    metrics.settle()
    before = exported()
    metrics.published.inc()
    metrics.published.inc(2)
    await until(lambda: exported() == before + 3, "it is told")


def test_what_one_event_loop_leaves_behind_the_next_one_tells() -> None:
    """An event loop may end at any time, in tests above all."""
    metrics.settle()
    before = exported()

    async def count() -> None:
        metrics.published.inc()

    async def count_and_wait() -> None:
        metrics.published.inc()
        await until(lambda: exported() == before + 2, "it is told")

    asyncio.run(count())
    asyncio.run(count_and_wait())
