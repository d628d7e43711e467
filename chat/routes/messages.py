"""A room over HTTP: say something, read what was said, see who is here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response, WebSocketException
from msgspec import UNSET, Raw, Struct

from chat import protocol
from chat.dependencies import get_author, get_manager, get_reader, get_room
from chat.manager import ConnectionManager
from chat.protocol import DEFAULT_PAGE, MAX_OFFSET, MAX_PAGE, CloseCode, Content, Message, User
from chat.refusal import refusals

router = APIRouter(tags=["rooms"])

Manager = Annotated[ConnectionManager, Depends(get_manager)]
RoomName = Annotated[str, Depends(get_room)]
REFUSED_BY = (
    CloseCode.UNAUTHENTICATED,
    CloseCode.FORBIDDEN,
    CloseCode.MALFORMED,
    CloseCode.RATE_LIMITED,
    CloseCode.UNAVAILABLE,
)
Offset = Annotated[int | None, Query(ge=0, le=MAX_OFFSET, description="an offset, exclusive")]


class Published(Struct):
    """Where a message stands."""

    id: str
    epoch: str
    offset: int


class MessagePage(Struct):
    """A page of a room's log, oldest first, and where the log stands."""

    messages: list[Message]
    more: bool
    epoch: str
    offset: int


class MemberPage(Struct):
    """Who is in a room; the list is empty above 200 people."""

    members: list[User]
    count: int


def _described(type: Any, description: str) -> dict[str, Any]:
    return {"description": description, "content": _schema(type)}


def _schema(type: Any) -> dict[str, Any]:
    (schema,), definitions = msgspec.json.schema_components([type], ref_template="#/components/schemas/{name}")
    return {"application/json": {"schema": _inlined(schema, definitions)}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Put every definition where it is referred to: FastAPI collects those of pydantic's models only."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


@router.post(
    "/items/{item_id:path}/messages",
    status_code=201,
    response_class=Response,
    responses={
        201: _described(Published, "said"),
        200: _described(Published, "was said before, with the same Idempotency-Key"),
        **refusals(CloseCode.TOO_LARGE, *REFUSED_BY),
    },
    openapi_extra={"requestBody": {"required": True, "content": _schema(Content)}},
)
async def publish(
    request: Request,
    manager: Manager,
    room: RoomName,
    user: Annotated[User, Depends(get_author)],
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=64)] = None,
) -> Response:
    """Say something: exactly one of `text`, `data` and `binary`."""
    content = protocol.decode_content(await request.body())
    protocol.check(content, text_length=manager.settings.max_text_length)
    id = idempotency_key or protocol.new_id()
    receipt = await manager.publish(
        room,
        None if content.text is UNSET else content.text,
        data=None if content.data is UNSET else content.data,
        binary=None if content.binary is UNSET else content.binary,
        user=user,
        id=id,
        remember=idempotency_key is not None,
    )
    return _json(Published(id, receipt.epoch, receipt.offset), status=200 if receipt.duplicate else 201)


@router.get(
    "/items/{item_id:path}/messages",
    response_class=Response,
    dependencies=[Depends(get_reader)],
    responses={200: _described(MessagePage, "a page"), **refusals(*REFUSED_BY)},
)
async def history(
    manager: Manager,
    room: RoomName,
    before: Offset = None,
    after: Offset = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
) -> Response:
    """Read what was said: the newest page, or the one next to an offset."""
    if before is not None and after is not None:
        raise WebSocketException(CloseCode.MALFORMED, "before or after, not both")
    page = await manager.history(room, after=after, before=before, limit=limit + 1)
    publications, more = page.cut(limit, newest=after is None)
    messages = [Raw(protocol.encode_message(offset=p.offset, at=p.at, body=p.body)) for p in publications]
    return _json({"messages": messages, "more": more, "epoch": page.position.epoch, "offset": page.position.offset})


@router.get(
    "/items/{item_id:path}/members",
    response_class=Response,
    dependencies=[Depends(get_reader)],
    responses={200: _described(MemberPage, "who is here"), **refusals(*REFUSED_BY)},
)
async def members(manager: Manager, room: RoomName) -> Response:
    """See who is here, over all workers."""
    return _json(MemberPage(*await manager.members(room)))


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(protocol.encode(value), status, media_type="application/json")
