"""One chat client, from accept to close: its commands become calls of its connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from msgspec import UNSET
from starlette.exceptions import WebSocketException
from starlette.websockets import WebSocket, WebSocketDisconnect

from chat import metrics, protocol
from chat.codec import ChatV1, Codec, PlainText
from chat.connection import Connection
from chat.events import Position
from chat.exceptions import BrokerUnavailable, InvalidCommand
from chat.frames import Payload
from chat.manager import ConnectionManager
from chat.protocol import SUBPROTOCOL, Ack, CloseCode, ErrorCode, Ping, Pong, Publish, User, Welcome
from chat.settings import Settings

REPLAYED_AT_JOIN = 50  # messages, unless the client asks for another number

CHAT_V1 = ChatV1()


async def converse(
    websocket: WebSocket,
    manager: ConnectionManager,
    room: str,
    *,
    user: User,
    credential: str,
    q: int | None = None,
) -> None:
    """Hold a whole conversation, in the protocol that the client asked for; ends by `WebSocketDisconnect`.

    That is how an endpoint of the tutorial ends as well. What is raised before the handshake is complete is a
    `WebSocketException`, as by `ConnectionManager.connect`.
    """
    codec = _negotiate(websocket, credential=credential, q=q, item_id=room)
    speaks_json = codec is CHAT_V1
    async with manager.connect(
        websocket,
        room,
        user=user,
        codec=codec,
        newest=REPLAYED_AT_JOIN if speaks_json else 0,
        greet=_welcome(room, user, manager) if speaks_json else None,
    ) as connection:
        converse = JsonSession if speaks_json else PlainSession
        await converse(connection, manager.settings).run()
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


def _welcome(room: str, user: User, manager: ConnectionManager) -> Callable[[Connection, Position], Welcome]:
    settings = manager.settings

    def welcome(connection: Connection, position: Position) -> Welcome:
        return Welcome(
            room=room,
            user=user,
            connection=connection.id,
            epoch=position.epoch,
            offset=position.offset,
            limits={"frame_bytes": settings.max_frame_bytes, "text_length": settings.max_text_length},
            heartbeat=settings.heartbeat,
        )

    return welcome


class JsonSession:
    """Speaks `chat.v1` with one client."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings

    async def run(self) -> None:
        """Carry out what the client sends, one command after the other, until it leaves or makes no sense."""
        connection = self._connection
        async for frame in connection:
            if _too_large(frame, self._settings):
                connection.close(CloseCode.TOO_LARGE, f"a frame may have {self._settings.max_frame_bytes} bytes")
                return
            try:
                await self._obey(frame)
            except InvalidCommand as error:
                self._complain(error.code, str(error), id=error.id)
                if error.fatal:
                    connection.close(CloseCode.MALFORMED, "what you send is not chat.v1")
                    return
            await connection.writable()

    async def _obey(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            raise InvalidCommand("chat.v1 is made of text frames", code=ErrorCode.MALFORMED, fatal=True)
        command = protocol.decode(frame)
        match command:
            case Publish():
                await self._publish(command)
            case Ping():
                self._connection.send(Pong(id=command.id))
            case None:
                pass  # a later version's command
            case _:
                assert_never(command)

    async def _publish(self, command: Publish) -> None:
        id = None if command.id is UNSET else command.id
        text = None if command.text is UNSET else command.text
        if text is not None:
            _check_length(text, self._settings, id=id)
        try:
            receipt = await self._connection.publish(
                text,
                data=None if command.data is UNSET else command.data,
                binary=None if command.binary is UNSET else command.binary,
                id=id,
            )
        except BrokerUnavailable as error:
            self._complain(ErrorCode.UNAVAILABLE, str(error), id=id, retry_ms=error.retry_ms)
            return
        if id is not None:
            self._connection.send(Ack(id, receipt.epoch, receipt.offset, receipt.duplicate))

    def _complain(self, code: str, message: str, *, id: str | None, retry_ms: int | None = None) -> None:
        metrics.command_errors.labels(code=code).inc()
        self._connection.send(
            protocol.Error(
                code=code,
                message=message,
                id=UNSET if id is None else id,
                retry_ms=UNSET if retry_ms is None else retry_ms,
            )
        )


class PlainSession:
    """Speaks the tutorial's plain text with one client: whatever it sends is a message."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings

    async def run(self) -> None:
        """Publish what the client sends until it leaves."""
        connection = self._connection
        async for frame in connection:
            if _too_large(frame, self._settings):
                connection.close(CloseCode.TOO_LARGE, f"a frame may have {self._settings.max_frame_bytes} bytes")
                return
            try:
                await self._publish(frame)
            except InvalidCommand as error:
                self._complain(error.code, str(error))
            except BrokerUnavailable as error:
                self._complain(ErrorCode.UNAVAILABLE, str(error))
            await connection.writable()

    async def _publish(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self._connection.publish(binary=frame)
        else:
            _check_length(frame, self._settings)
            await self._connection.publish(frame)

    def _complain(self, code: str, message: str) -> None:
        metrics.command_errors.labels(code=code).inc()
        self._connection.send(Payload(f"Message was not sent: {message}".encode()))


def _check_length(text: str, settings: Settings, *, id: str | None = None) -> None:
    limit = settings.max_text_length
    if limit and len(text) > limit:
        raise InvalidCommand(
            f"the text has {len(text)} characters; {limit} are allowed", code=ErrorCode.TOO_LONG, id=id
        )


def _too_large(frame: str | bytes, settings: Settings) -> bool:
    limit = settings.max_frame_bytes
    if not limit or len(frame) * 4 <= limit:
        return False
    return len(frame.encode() if isinstance(frame, str) else frame) > limit
