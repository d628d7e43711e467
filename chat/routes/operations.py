"""What the people who run it ask: alive, ready, how much."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from chat.dependencies import get_manager
from chat.manager import ConnectionManager
from chat.metrics import settle

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """This worker's event loop turns."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    responses={503: {"description": "this worker cannot hear the broker", "content": {"application/json": {}}}},
)
async def readyz(manager: Annotated[ConnectionManager, Depends(get_manager)]) -> JSONResponse:
    """This worker can serve: it reaches the broker, and hears what it publishes itself."""
    if manager.ready:
        return JSONResponse({"status": "ready", "worker": manager.worker})
    return JSONResponse({"status": "the broker is away", "worker": manager.worker}, 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "what was counted", "content": {"text/plain": {}}}},
)
async def metrics() -> Response:
    """Prometheus' text format, summed over all workers of this host when `chat serve` runs them."""
    settle()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        _forget_dead_workers(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _forget_dead_workers(folder: Path) -> None:
    """Drop what workers that were killed counted as present, such as their connections."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
