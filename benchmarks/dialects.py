"""What a member says to each kind of server, beside `chat.v1`, which the generator knows by itself."""

from __future__ import annotations

from chat.bench.dialect import CHAT_V1, Dialect


def _item(room: str, token: str, member: int) -> str:
    return f"/items/{room}/ws?token={token}&name=m{member}"


def _text(room: str, text: str, number: int) -> bytes:
    return text.encode()


def _engine(room: str, token: str, member: int) -> str:
    return "/socket.io/?EIO=4&transport=websocket"


def _join(room: str) -> list[bytes]:
    return [b"40", f'42["join","{room}"]'.encode()]


def _say(room: str, text: str, number: int) -> bytes:
    return f'42["say","{room}","{text}"]'.encode()


def _root(room: str, token: str, member: int) -> str:
    return "/"


def _subscribe(room: str) -> list[bytes]:
    return [b'CONNECT {"verbose":false,"pedantic":false}\r\n', f"SUB {room} 1\r\n".encode()]


def _pub(room: str, text: str, number: int) -> bytes:
    return f"PUB {room} {len(text)}\r\n{text}\r\n".encode()


DIALECTS = {
    # The tutorial's: what is sent is the message.
    "plain": Dialect(_item, _text),
    "chat.v1": CHAT_V1,
    "socket.io": Dialect(_engine, _say, hello=_join),
    "nats": Dialect(_root, _pub, hello=_subscribe),
}
