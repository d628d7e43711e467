"""Whatever happens, in whatever order: nobody misses anything that could be kept, and everybody sees the same.

A schedule that fails names its seed; `CHAT_FAULT_SEED=… pytest tests/faults/test_schedules.py` plays it again.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.checker import violations
from tests.faults.schedules import Run, schedule
from tests.faults.service import Service

_asked_for = os.environ.get("CHAT_FAULT_SEED")
SEEDS = [int(seed) for seed in _asked_for.split(",")] if _asked_for else range(1, 21)
MORE_SEEDS = [] if _asked_for else range(1001, 1201)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Shared by all schedules; each has a room of its own, and leaves everything whole."""
    async with Service(tmp_path_factory.mktemp("redis")) as service:
        yield service


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_schedule_of_faults_breaks_no_promise(service: Service, seed: int) -> None:
    await play(service, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MORE_SEEDS)
async def test_a_further_schedule_of_faults_breaks_no_promise(service: Service, seed: int) -> None:
    await play(service, seed)


async def play(service: Service, seed: int) -> None:
    run = Run(service, f"seed-{seed}-{os.getpid()}", seed)
    told = f"CHAT_FAULT_SEED={seed}: {', '.join(map(str, run.steps))}"
    try:
        await run.play()
    except BaseException as error:
        error.add_note(told)
        raise
    finally:
        await service.mend()
    found = violations(run.history)
    assert found == [], f"{told}\n" + "\n".join(found[:20])


async def test_a_seed_stands_for_one_schedule() -> None:
    assert schedule(1) == schedule(1) != schedule(2)
