"""One chat client, from accept to close: its commands become calls of its connection."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from time import monotonic as _now
from typing import assert_never

from msgspec import UNSET, Raw, UnsetType
from starlette.exceptions import WebSocketException
from starlette.websockets import WebSocket, WebSocketDisconnect

from chat import metrics, protocol
from chat.access import Access
from chat.codec import ChatV1, Codec, PlainText
from chat.connection import Connection
from chat.events import Position, Receipt
from chat.exceptions import (
    BrokerUnavailable,
    CredentialsUnavailable,
    DecisionUnavailable,
    Forbidden,
    InvalidCommand,
    InvalidCredential,
)
from chat.frames import Payload
from chat.manager import ConnectionManager
from chat.protocol import (
    DEFAULT_PAGE,
    LISTED_MEMBERS,
    SUBPROTOCOL,
    Ack,
    CloseCode,
    Command,
    Content,
    ErrorCode,
    History,
    HistoryPage,
    MemberList,
    Members,
    Ping,
    Pong,
    Publish,
    Refresh,
    Typing,
    User,
    Welcome,
    body_of,
)
from chat.rate_limit import RateLimit
from chat.rights import Action
from chat.room import Greet, Room
from chat.settings import Settings

TYPING_EVERY = 1.0  # seconds; what a client says of its typing more often is dropped

MOST_UNSETTLED = 64  # messages of one client on the way to the broker; then it is listened to no more for a moment

TOO_MUCH = "that is too much at once"

CHAT_V1 = ChatV1()


async def converse(
    websocket: WebSocket,
    manager: ConnectionManager,
    room: str,
    *,
    user: User,
    credential: str,
    access: Access | None = None,
    q: int | None = None,
    since: Position | None = None,
    newest: int = DEFAULT_PAGE,
    stay: bool = True,
) -> None:
    """Hold a whole conversation, in the protocol that the client asked for; ends by `WebSocketDisconnect`.

    That is how an endpoint of the tutorial ends as well. `access` ends it when the credential expires, and says whether
    the member may publish; without it there is no end, and everybody may. `since` and `newest` say what is replayed to
    a client that speaks chat.v1. If it need not `stay`, it may return once the conversation has begun, see
    `ConnectionManager.host`. What is raised before the handshake is complete is a `WebSocketException`, as by
    `ConnectionManager.connect`.
    """
    codec = _negotiate(websocket, credential=credential, q=q, item_id=room)
    greet: Greet | None = None
    if codec is CHAT_V1:
        session: type[Session] = JsonSession
        greet = Greeter(manager.settings, access)
    else:
        session, since, newest = PlainSession, None, 0
    connection = await manager.host(
        websocket,
        room,
        lambda connection: session(connection, manager.settings, access),
        user=user,
        codec=codec,
        since=since,
        newest=newest,
        greet=greet,
        stay=stay,
    )
    if connection.closing:
        raise WebSocketDisconnect(connection.close_code or CloseCode.NORMAL, connection.close_reason)


def _negotiate(websocket: WebSocket, *, credential: str, q: int | None, item_id: str) -> Codec:
    offered = websocket.scope["subprotocols"]
    if SUBPROTOCOL in offered:
        return CHAT_V1
    if offered:
        raise WebSocketException(
            CloseCode.MALFORMED, f"none of the subprotocols offered is known; offer {SUBPROTOCOL}, or none at all"
        )
    return PlainText(credential=credential, q=q, item_id=item_id)


class Greeter:
    """Makes the `welcome` of a new member."""

    def __init__(self, settings: Settings, access: Access | None) -> None:
        self._settings = settings
        self._expires = None if access is None else access.expires

    def __call__(self, room: Room, connection: Connection, recovered: bool) -> Welcome:
        user = connection.user
        present, count = list(room.told.people.values()), room.told.count
        known = room.attendance.roster.has(user.id) if count > LISTED_MEMBERS else user.id in room.told.people
        if not known:  # told to the others in a moment
            count += 1
            present = [*present, user] if count <= LISTED_MEMBERS else []
        return Welcome(
            room=room.name,
            user=user,
            connection=connection.id,
            epoch=room.feed.position.epoch,
            offset=room.feed.position.offset,
            recovered=recovered,
            members=present,
            count=count,
            limits={
                "frame_bytes": self._settings.max_frame_bytes,
                "text_length": self._settings.max_text_length,
                "rate": self._settings.rate_limit,
                "burst": self._settings.rate_burst,
            },
            heartbeat=self._settings.heartbeat,
            expires=UNSET if self._expires is None else self._expires,
        )


class Session(ABC):
    """Takes what one client sends, frame by frame, within what a client may send (`intake.Handler`)."""

    __slots__ = ("_access", "_connection", "_pace", "_settings", "_settled", "_unsettled")

    def __init__(self, connection: Connection, settings: Settings, access: Access | None) -> None:
        self._connection = connection
        self._settings = settings
        self._access = access
        self._pace = _pace(settings)
        self._unsettled = 0  # messages that the broker has not answered for yet
        self._settled: asyncio.Event | None = None  # there while it is waited for
        if access is not None:
            access.guard(connection)

    def take(self, message: str | bytes) -> Awaitable[None] | None:
        """Carry out a frame, or begin to; returns what is to be waited for before the next one."""
        limit = self._settings.max_frame_bytes
        if len(message) * 4 > limit > 0 and _size(message) > limit:
            self._connection.close(CloseCode.TOO_LARGE, f"a frame may have {limit} bytes")
        elif (wait := 0.0 if self._pace is None else self._pace.take(_now())) is None:
            self._connection.close(CloseCode.RATE_LIMITED, "you go on to send too much")
        else:
            return self._take(message, wait)
        return None

    def left(self) -> None:
        """The client has left."""
        if self._access is not None:
            self._access.stop()

    @abstractmethod
    def _take(self, frame: str | bytes, wait: float) -> Awaitable[None] | None:
        """Carry out a frame, or complain of it; `wait`: by how many seconds it came too early."""

    def _may_publish(self) -> None:
        """Raise `Forbidden` if the credential does not allow it."""
        if self._access is not None:
            self._access.demand(Action.PUBLISH)

    def _post(self, content: Content, id: str | UnsetType) -> Awaitable[None] | None:
        """Say something; `_answer` is called with what came of it. Returns what is to be waited for."""
        self._unsettled += 1
        connection = self._connection
        # Without an id of the client's own nobody can ask for the same message again.
        connection.post(body_of(connection.user, content, id), partial(self._settle, id), remember=id is not UNSET)
        return self._wait_for_broker() if self._unsettled > MOST_UNSETTLED else None

    def _settle(self, id: str | UnsetType, outcome: Receipt | BrokerUnavailable) -> None:
        self._unsettled -= 1
        if self._settled is not None and self._unsettled <= MOST_UNSETTLED // 2:
            self._settled.set()
            self._settled = None
        self._answer(id, outcome)

    @abstractmethod
    def _answer(self, id: str | UnsetType, outcome: Receipt | BrokerUnavailable) -> None:
        """Tell the client what came of a message."""

    async def _wait_for_broker(self) -> None:
        while self._unsettled > MOST_UNSETTLED // 2:  # it may have answered before this is run
            self._settled = asyncio.Event()
            await self._settled.wait()


class JsonSession(Session):
    """Speaks `chat.v1` with one client."""

    __slots__ = ("_typing_again",)

    def __init__(self, connection: Connection, settings: Settings, access: Access | None) -> None:
        super().__init__(connection, settings, access)
        self._typing_again = 0.0  # when typing is passed on again, by the loop's clock

    def _take(self, frame: str | bytes, wait: float) -> Awaitable[None] | None:
        try:
            command = protocol.decode(frame, text_length=self._settings.max_text_length)
        except InvalidCommand as error:
            self._complain(error.code, str(error), id=error.id)
            if error.fatal:
                self._connection.close(CloseCode.MALFORMED, "what you send is not chat.v1")
            return None
        if wait:
            id: str | UnsetType = getattr(command, "id", UNSET)
            self._complain(ErrorCode.RATE_LIMITED, TOO_MUCH, id=id, retry_ms=math.ceil(wait * 1000))
            return None
        return self._obey(command)

    def _obey(self, command: Command | None) -> Awaitable[None] | None:
        match command:
            case Publish():
                return self._ask_and_publish(command) if self._connection.asks else self._publish(command)
            case History():
                return self._history(command)
            case Members():
                self._connection.send(MemberList(command.id, *self._connection.who_is_here()))
            case Typing():
                return self._typing()
            case Refresh():
                return self._refresh(command)
            case Ping():
                self._connection.send(Pong(id=command.id))
            case None:
                pass  # a later version's command
            case _:
                assert_never(command)
        return None

    async def _ask_and_publish(self, command: Publish) -> None:
        try:
            self._may_publish()  # whoever may not anyway is not asked about
            await self._connection.ask_to_publish()
        except Forbidden as error:
            self._complain(ErrorCode.FORBIDDEN, str(error), id=command.id)
        except DecisionUnavailable as error:
            self._complain(ErrorCode.UNAVAILABLE, str(error), id=command.id, retry_ms=error.retry_ms)
        else:
            if (rest := self._publish(command)) is not None:
                await rest

    def _publish(self, command: Publish) -> Awaitable[None] | None:
        try:
            self._may_publish()
        except Forbidden as error:
            self._complain(ErrorCode.FORBIDDEN, str(error), id=command.id)
            return None
        return self._post(command, command.id)

    def _answer(self, id: str | UnsetType, outcome: Receipt | BrokerUnavailable) -> None:
        if isinstance(outcome, BrokerUnavailable):
            self._complain(ErrorCode.UNAVAILABLE, str(outcome), id=id, retry_ms=outcome.retry_ms)
        elif id is not UNSET:
            self._connection.send_soon(Ack(id, outcome.epoch, outcome.offset, outcome.duplicate))

    async def _history(self, command: History) -> None:
        after = None if command.after is UNSET else command.after
        before = None if command.before is UNSET else command.before
        try:
            # One more than asked for, which tells whether there are more.
            page = await self._connection.history(after=after, before=before, limit=command.limit + 1)
        except BrokerUnavailable as error:
            self._complain(ErrorCode.UNAVAILABLE, str(error), id=command.id, retry_ms=error.retry_ms)
            return
        publications, more = page.cut(command.limit, newest=after is None)
        messages = [Raw(protocol.encode_message(offset=p.offset, at=p.at, body=p.body)) for p in publications]
        self._connection.send(HistoryPage(command.id, messages, more))

    async def _refresh(self, command: Refresh) -> None:
        if self._access is None:
            self._complain(ErrorCode.FORBIDDEN, "there is nothing to refresh here", id=command.id)
            return
        try:
            await self._access.refresh(self._connection, command.token)
        except InvalidCredential as error:
            self._complain(ErrorCode.UNAUTHENTICATED, str(error), id=command.id)
        except CredentialsUnavailable as error:
            self._complain(ErrorCode.UNAVAILABLE, str(error), id=command.id, retry_ms=1000)
        else:
            expires = self._access.expires
            self._connection.send(Ack(command.id, expires=UNSET if expires is None else expires))

    async def _typing(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._typing_again:
            return
        self._typing_again = now + TYPING_EVERY
        with suppress(BrokerUnavailable, DecisionUnavailable, Forbidden):  # the first thing to be dropped
            self._may_publish()
            await self._connection.typing()

    def _complain(self, code: str, message: str, *, id: str | UnsetType | None, retry_ms: int | None = None) -> None:
        metrics.command_errors.labels(code=code).inc()
        self._connection.send(
            protocol.Error(
                code=code,
                message=message,
                id=UNSET if id is None else id,
                retry_ms=UNSET if retry_ms is None else retry_ms,
            )
        )


class PlainSession(Session):
    """Speaks the tutorial's plain text with one client: whatever it sends is a message."""

    __slots__ = ()

    def _take(self, frame: str | bytes, wait: float) -> Awaitable[None] | None:
        if wait:
            self._complain(ErrorCode.RATE_LIMITED, f"{TOO_MUCH}; try again in {wait:.1f} s")
            return None
        return self._ask_and_publish(frame) if self._connection.asks else self._publish(frame)

    async def _ask_and_publish(self, frame: str | bytes) -> None:
        try:
            self._may_publish()  # whoever may not anyway is not asked about
            await self._connection.ask_to_publish()
        except Forbidden as error:
            self._complain(ErrorCode.FORBIDDEN, str(error))
        except DecisionUnavailable as error:
            self._complain(ErrorCode.UNAVAILABLE, str(error))
        else:
            if (rest := self._publish(frame)) is not None:
                await rest

    def _publish(self, frame: str | bytes) -> Awaitable[None] | None:
        try:
            self._may_publish()
            content = Content(binary=frame) if isinstance(frame, bytes) else Content(text=frame)
            protocol.check(content, text_length=self._settings.max_text_length)
            return self._post(content, UNSET)
        except InvalidCommand as error:
            self._complain(error.code, str(error))
        except Forbidden as error:
            self._complain(ErrorCode.FORBIDDEN, str(error))
        return None

    def _answer(self, id: str | UnsetType, outcome: Receipt | BrokerUnavailable) -> None:
        if isinstance(outcome, BrokerUnavailable):
            self._complain(ErrorCode.UNAVAILABLE, str(outcome))

    def _complain(self, code: str, message: str) -> None:
        metrics.command_errors.labels(code=code).inc()
        self._connection.send(Payload(f"Message was not sent: {message}".encode()))


def _pace(settings: Settings) -> RateLimit | None:
    return RateLimit(settings.rate_limit, settings.rate_burst, now=_now()) if settings.rate_limit else None


def _size(frame: str | bytes) -> int:
    return len(frame.encode() if isinstance(frame, str) else frame)
