"""`/asyncapi.json`, what the WebSockets speak, and `/asyncapi`, the same to read. (`/docs` describes HTTP.)"""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from chat import asyncapi

router = APIRouter(include_in_schema=False)


@router.get("/asyncapi.json")
async def asyncapi_json(request: Request) -> JSONResponse:
    """The document."""
    return JSONResponse(_document(request))


@router.get("/asyncapi")
async def asyncapi_page(request: Request) -> HTMLResponse:
    """The document as a page without scripts."""
    document = _document(request)
    title = escape(f"{document['info']['title']} {document['info']['version']}: WebSockets")
    sections = "".join(
        f"<h2>{heading}</h2>{_table(document, operation)}"
        for heading, operation in (("Commands, client to server", "send"), ("Events, server to client", "receive"))
    )
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f"<p>{escape(document['info']['description'])}</p>"
        f'<p>The same for programs: <a href="asyncapi.json">asyncapi.json</a>. HTTP: <a href="docs">docs</a>.</p>'
        f"{sections}</html>"
    )


def _document(request: Request) -> dict[str, Any]:
    return asyncapi.document(title=request.app.title, version=request.app.version)


def _table(document: dict[str, Any], operation: str) -> str:
    rows = []
    for reference in document["operations"][operation]["messages"]:
        kind = reference["$ref"].rsplit("/", 1)[1]
        schema = document["components"]["schemas"][kind]
        required = set(schema.get("required", ()))
        fields = [name if name in required else f"{name}?" for name in schema["properties"] if name != "type"]
        message = document["components"]["messages"][kind]
        cells = (f"<code>{escape(message['name'])}</code>", escape(", ".join(fields)), escape(message["summary"]))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><tr><th>type<th>fields<th>what it is</tr>{''.join(rows)}</table>"
