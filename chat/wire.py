"""uvicorn's WebSocket protocol, tuned for this job: it takes ready-made frames, and hands on what comes in by calls."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent, WebSocketAcceptEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, PayloadTooBig
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import DATA_OPCODES, Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol

from chat import handshake
from chat.deadlines import Deadlines
from chat.frames import Batch
from chat.handshake import Offer
from chat.protocol import CloseCode
from chat.settings import workers_settings
from chat.transport import EXTENSION, Listener, Take

logger = logging.getLogger("chat.websocket")

# What the kernel takes off our hands before the network does; by itself it would keep megabytes for a member that does
# not read, and hide from us for minutes that a slow one reads.
KERNEL_BUFFER_BYTES = 131_072
NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)

TEXT, BINARY = 0x81, 0x82  # the first byte of a frame that is a whole message (RFC 6455, 5.2)
MASKED = 0x80
AT_ONCE = 100  # frames of one client that are read before others have their turn
MOST_PIECES = 4096  # in which one message may come
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
SMALL = 65_536  # bytes; larger frames are read by websockets, which does not copy them for each piece that comes


class FrameTransport:
    """A `chat.transport.Transport` that writes ready-made frames, past uvicorn's send."""

    __slots__ = ("_protocol", "compress_from", "holds", "listener", "paused")

    def __init__(self, protocol: ChatProtocol) -> None:
        self.compress_from = 0
        self.holds = False
        self.paused = False
        self.listener: Listener | None = None  # there while a member holds the connection
        self._protocol = protocol

    @property
    def write_frames(self) -> Callable[[bytes], None]:
        self._protocol.release()  # from here on we do not see what is written
        return self._protocol.transport.write

    def hold(self) -> None:
        self.holds = True

    def attach(self, listener: Listener, *, limit: int) -> None:
        self.listener = listener
        self._protocol.transport.set_write_buffer_limits(high=limit, low=limit // 2)
        if NOTSENT_LOWAT is not None:
            connection = self._protocol.transport.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, KERNEL_BUFFER_BYTES)

    def write(self, batch: Batch) -> None:
        protocol = self._protocol
        if not protocol.close_sent and not protocol.disconnected:
            frames = batch.deflated(self.compress_from) if self.compress_from else batch.frames
            protocol.transport.write(protocol.take_held() + frames)

    def waiting(self) -> int:
        return self._protocol.transport.get_write_buffer_size()

    def hand_over(self, take: Take) -> bool:
        return self._protocol.hand_over(take)

    def listen(self, on: bool) -> None:
        self._protocol.listen(on)

    def close(self, code: int, reason: str) -> None:
        self._protocol.close(code, reason)

    async def closed(self) -> None:
        pass  # it was, at once

    def pause(self) -> None:
        """The socket does not take any more."""
        self.paused = True
        if self.listener is not None:
            self.listener.paused()

    def resume(self) -> None:
        """The socket took most of it."""
        self.paused = False
        if self.listener is not None:
            self.listener.resumed()

    def closes(self) -> None:
        """A close was sent or came in, or the connection is lost."""
        if self.listener is not None:
            self.listener.closed()


class _Nobody:
    """In place of what only an endpoint needs, once there is none."""

    def put_nowait(self, event: object) -> None:
        pass

    def set(self) -> None:
        pass

    def clear(self) -> None:
        pass

    def cancel(self) -> None:
        pass


_NOBODY = _Nobody()


class ChatProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own WebSocket protocol, with a `FrameTransport` in the scope's extensions."""

    __slots__ = (
        "_deaf",
        "_early",
        "_frames",
        "_held",
        "_inside",
        "_offer",
        "_pings",
        "_resting",
        "_take",
        "_unread",
        # uvicorn's own, too: they are more than a class' instances can share a table of names for (30 in CPython), so
        # each connection would have a table of its own, and every look into it would miss the processor's cache.
        "app",
        "app_state",
        "asgi_version",
        "client",
        "close_sent",
        "close_timeout",
        "close_timer",
        "config",
        "conn",
        "connections",
        "curr_msg_data_type",
        "default_headers",
        "disconnected",
        "frames",
        "handshake_complete",
        "handshake_initiated",
        "initial_response",
        "last_ping_rtt",
        "logger",
        "loop",
        "pending_ping_payload",
        "ping_interval",
        "ping_sent_at",
        "ping_timeout",
        "ping_timer",
        "pong_timer",
        "queue",
        "read_paused",
        "request",
        "response",
        "root_path",
        "scheme",
        "scope",
        "server",
        "tasks",
        "transport",
        "writable",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.__class__ = _Rfc6455
        self.conn.logger = logger
        self._pings = Deadlines.shared(self.loop, self.ping_interval or 0.0, ChatProtocol.send_keepalive_ping)
        self._offer: Offer | None = None  # of a handshake that websockets has not seen
        self._frames = FrameTransport(self)
        self._held = b""  # the answer to the handshake, which leaves with what follows it in the same turn of the loop
        self._take: Take | None = None  # who is given the messages, if not the endpoint
        self._deaf = False  # nobody takes messages at the moment
        self._unread = b""  # what came and was not looked at yet: the beginning of a frame, or more while it is deaf
        self._resting = False  # until the next turn of the loop
        self._early: list[str | bytes] = []  # messages that came before they were handed over
        self._inside = 0  # bytes to come of a frame that websockets reads

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # not refused already
            self.scope["extensions"][EXTENSION] = self._frames  # type: ignore[assignment]

    # --- the handshake ---

    def begin(self, http: HttpToolsProtocol, offer: Offer) -> None:
        """Take over a connection from the HTTP protocol, which has read a handshake that asks no questions.

        What uvicorn does instead is to write the request down again, and have websockets read it.
        """
        self._offer = offer
        self.handshake_initiated = True
        self.conn.parser = Protocol.parse(self.conn)  # that is what follows the request
        next(self.conn.parser)
        self.connections.add(self)
        self.transport, self.server, self.client = http.transport, http.server, http.client
        self.scheme = "wss" if http.scheme == "https" else "ws"
        raw_path, _, query = http.url.partition(b"?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": http.headers,
            "subprotocols": offer.subprotocols,
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: self._frames},  # type: ignore[dict-item]
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def _accept(self, offer: Offer, message: WebSocketAcceptEvent) -> None:
        headers = [*self.default_headers, *message.get("headers", ())]
        if offer.extensions and (agreed := self._agree(offer.extensions)):
            headers.append((b"Sec-WebSocket-Extensions", agreed.encode("ascii")))
        if subprotocol := message.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
        self.handshake_complete = True
        self.conn.state = State.OPEN
        self._held = handshake.answer(offer.key, headers)
        if self._frames.holds:
            self.loop.call_soon(self.release)
        else:
            self.release()
        self.start_keepalive()

    def take_held(self) -> bytes:
        """Return what goes ahead of whatever is written, which was not written yet."""
        held, self._held = self._held, b""
        return held

    def release(self) -> None:
        """Write what was held back until now."""
        if (held := self.take_held()) and not self.transport.is_closing():
            self.transport.write(held)

    def _agree(self, offered: bytes) -> str | None:
        """Agree on compression, if it is set, of each message by itself: so one is compressed once for all."""
        least = workers_settings().compress_from
        if not least:
            return None
        self.conn.available_extensions = [_DEFLATE]
        try:
            agreed, extensions = self.conn.process_extensions(
                Headers([("Sec-WebSocket-Extensions", offered.decode("latin-1"))])
            )
        except InvalidHandshake:
            return None
        if agreed is None or "server_max_window_bits" in agreed:  # what is made for all has a window of the usual size
            return None
        self.conn.extensions = extensions
        self._frames.compress_from = least
        return agreed

    # --- what comes in ---

    def data_received(self, data: bytes) -> None:
        """Read what is small and whole right here, which is nearly all, and leave the rest to websockets."""
        if not self.handshake_initiated:
            self._begin(data)
            return
        self.release()
        data = self._unread + data if self._unread else data
        at = self._read(data)
        self._unread = data[at:] if at < len(data) else b""

    def _begin(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # It could not even be read; uvicorn 0.54 would leave the connection open for ever.
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
            self.transport.close()

    def _read(self, data: bytes) -> int:
        """Read frames as far as possible; returns how far. websockets is always given them from their start."""
        at, end, left = 0, len(data), AT_ONCE
        while at < end and not self._deaf and not self._resting and not self.disconnected:
            left -= 1
            if not left:
                self._rest()
                break
            if self._inside:
                part = data[at : at + self._inside]
                self._inside -= len(part)
                at += len(part)
                super().data_received(part)
                if self.conn.parser_exc is not None:
                    return end  # nothing that follows can be understood
                continue
            if end - at < 2:
                break
            first, masked, length = data[at], data[at + 1] & MASKED, data[at + 1] & 0x7F
            payload = at + 2
            if length > 125:
                payload += 2 if length == 126 else 8
                if end < payload:
                    break
                length = int.from_bytes(data[at + 2 : payload])
            if masked:
                payload += 4
            after = payload + length
            plain = first in (TEXT, BINARY)
            at_start = not self.frames and not self.close_sent and self.conn.close_sent is None  # of a message
            if plain and masked and length <= SMALL and length <= self.config.ws_max_size and at_start:
                if after > end:
                    break
                key = data[payload - 4 : payload]
                at = after
                self._message(first == TEXT, apply_mask(data[payload:after], key))
            else:
                self._inside = after - at
        return at

    def _rest(self) -> None:
        """Let others have their turn: somebody may have sent tens of thousands of frames in one piece."""
        self._resting = True
        self.transport.pause_reading()
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if self.disconnected or self.transport.is_closing():
            return
        if not self._deaf and not self.read_paused:
            self.transport.resume_reading()
        self.data_received(b"")

    def _message(self, is_text: bool, data: bytes) -> None:
        message: str | bytes = data
        if is_text:
            try:
                message = data.decode()
            except UnicodeDecodeError:
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        if self._take is not None:
            self._take(message)
            return
        self.queue.put_nowait({"type": "websocket.receive", "text" if is_text else "bytes": message})  # type: ignore[arg-type]
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def send_receive_event_to_app(self) -> None:
        """Take a message that websockets has read."""
        data = b"".join(self.frames)
        self.frames = []
        if not self.close_sent:
            self._message(self.curr_msg_data_type == "text", data)

    def hand_over(self, take: Take) -> bool:
        """Give messages to `take` rather than to the endpoint, which may end then; False if the client has left."""
        if self.close_sent or self.disconnected or self.conn.close_sent is not None:
            return False
        self._take = take
        while not self.queue.empty():
            event: Any = self.queue.get_nowait()
            self._early.append(event["bytes"] if event.get("text") is None else event["text"])
        # Nobody will ask for these any more; they are a third of what an idle connection weighs.
        self.queue = self.writable = cast("Any", _NOBODY)
        self.scope = self.request = self.response = cast("Any", None)
        # uvicorn closes the connection when the endpoint ends, unless it waits for the closing handshake.
        self.close_timer = cast("Any", _NOBODY)
        self.read_paused = False
        self.listen(True)
        return True

    def listen(self, on: bool) -> None:
        """Take what the client sends, or leave it in the network for now."""
        self._deaf = not on
        if self.disconnected or self.transport.is_closing():
            return
        if not on:
            self.transport.pause_reading()
            return
        self.transport.resume_reading()
        while self._early and self._take is not None and not self._deaf:
            self._take(self._early.pop(0))
        if self._unread:
            self.data_received(b"")

    # --- what goes out ---

    async def send(self, message: ASGISendEvent) -> None:
        if self._offer is not None and message["type"] == "websocket.accept" and not self.handshake_complete:
            if self.disconnected:
                raise ClientDisconnected
            self._accept(self._offer, message)
            return
        self.release()
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # uvicorn 0.54 forgets, and complains of an endpoint that only refused

    def pause_writing(self) -> None:
        super().pause_writing()
        self._frames.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._frames.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._frames.closes()
        self._take = self._frames.listener = None  # who are in a circle with this otherwise

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._frames.closes()

    def handle_parser_exception(self) -> None:
        if (
            self.conn.close_sent is None
        ):  # it sends before it is let in, which nobody may: there is nothing to close yet
            self.transport.abort()
            return
        super().handle_parser_exception()
        self._frames.closes()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, as uvicorn does for `websocket.close`, but without waiting for the transport."""
        if self.close_sent or self.disconnected or self.transport.is_closing() or not self.handshake_complete:
            return
        self.release()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._frames.closes()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # Not transport.close, which would wait for a client that does not read.
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def shutdown(self) -> None:
        """Let members go one after the other; uvicorn would send 1012 to all of them at once."""
        self.release()
        if self._frames.listener is not None and not self.close_sent:
            self._frames.listener.stopping()
        else:
            super().shutdown()

    def handle_ping(self) -> None:
        """Answer, unless the answers are not read: nobody makes us keep more and more of them."""
        if self._frames.paused:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def schedule_ping(self) -> None:
        self._pings.begin(self)

    def stop_keepalive(self) -> None:
        super().stop_keepalive()
        self._pings.end(self)

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping. What waits to be sent will never be read: do not wait for it."""
        super().keepalive_timeout()
        self._frames.closes()
        self.transport.abort()


class _TooManyPieces(PayloadTooBig):
    def __init__(self) -> None:
        super().__init__(None, MOST_PIECES)

    def __str__(self) -> str:
        return f"a message may come in {MOST_PIECES} pieces"


class _Rfc6455(ServerProtocol):
    """Tells a message over the limit by our own close code, which says that trying again is no use.

    There is a limit of pieces as well as of bytes: even a piece of nothing costs memory.
    """

    _pieces = 0  # that have come of a message which is not complete

    def fail(self, code: int, reason: str = "") -> None:
        super().fail(CloseCode.TOO_LARGE if code == 1009 else code, reason)

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in DATA_OPCODES:
            self._pieces = 0 if frame.fin else self._pieces + 1
            if self._pieces > MOST_PIECES:
                raise _TooManyPieces
        elif frame.opcode is Opcode.CLOSE:
            self.current_size = None  # a close may come within a message; websockets would answer 1002
        super().recv_frame(frame)
