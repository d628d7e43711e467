"""The chat page and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

from chat.headers import PAGE_HEADERS

_BESIDE, _INSIDE = (Path(__file__).parents[depth] / "static" for depth in (2, 1))
STATIC = _BESIDE if (_BESIDE / "index.html").is_file() else _INSIDE  # in a checkout; in an installed package

router = APIRouter()


class PageFiles(StaticFiles):
    """The page's files, each with the page's strict policy."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(PAGE_HEADERS)
        return response


files = PageFiles(directory=STATIC)


@router.get("/", include_in_schema=False)
async def page(request: Request) -> Response:
    """Return the page, or with `?plain=1` the tutorial's; each finds everything else by itself."""
    is_plain = request.query_params.get("plain", "0") not in {"", "0"}
    return await files.get_response("plain.html" if is_plain else "index.html", request.scope)
