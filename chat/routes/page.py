"""The chat page."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

_BESIDE, _INSIDE = (Path(__file__).parents[depth] / "static" for depth in (2, 1))
STATIC = _BESIDE if (_BESIDE / "index.html").is_file() else _INSIDE  # in a checkout; in an installed package

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Return the page; it finds everything else by itself."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
