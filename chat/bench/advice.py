"""What to do about a server that refuses a load: a sentence for each reason; pure."""

from __future__ import annotations

import json

from chat.exceptions import LoadRefused
from chat.protocol import CloseCode, ErrorCode

_CONNECTIONS = "start the server with CHAT_MAX_CONNECTIONS_PER_USER=0 and CHAT_MAX_CONNECTIONS_PER_ADDRESS=0"
_RATE = "start the server with CHAT_RATE_LIMIT=0, or let more members speak, or each more slowly"
_TOKEN = "give tokens that it accepts by --token"
_ROOMS = "give tokens for these rooms by --token, or name the rooms otherwise by --prefix"
_SIZE = "take a smaller --size, or raise CHAT_MAX_TEXT_LENGTH and CHAT_MAX_FRAME_BYTES of the server"
_AWAY = "see its /readyz: it cannot reach its broker, or is full (CHAT_MAX_CONNECTIONS)"

_ADVICE: dict[int | str, str] = {
    CloseCode.POLICY_VIOLATION: _TOKEN,
    CloseCode.UNAUTHENTICATED: _TOKEN,
    CloseCode.FORBIDDEN: _ROOMS,
    CloseCode.TOO_MANY_CONNECTIONS: _CONNECTIONS,
    CloseCode.TOO_LARGE: _SIZE,
    CloseCode.RATE_LIMITED: _RATE,
    CloseCode.UNAVAILABLE: _AWAY,
    401: _TOKEN,
    403: _TOKEN,
    404: "is it this service, and is the path in front of /items right?",
    429: _CONNECTIONS,
    503: _AWAY,
    ErrorCode.RATE_LIMITED: _RATE,
    ErrorCode.TOO_LONG: _SIZE,
    ErrorCode.FORBIDDEN: _ROOMS,
}


def refused_handshake(head: bytes, body: bytes) -> LoadRefused:
    """Return what to say of an HTTP answer that does not open a WebSocket."""
    line = head.partition(b"\r\n")[0].decode("latin-1")
    _, _, status = line.partition(" ")
    code: int | str = int(status[:3]) if status[:3].isdecimal() else 0
    said = status
    try:
        answer = json.loads(body)
        code, said = int(answer["code"]), str(answer["message"])
    except (ValueError, KeyError, TypeError):
        pass  # not this service's answer, or that of a proxy before it
    return refusal(code, f"a member was refused: {said or line}")


def refusal(code: int | str, said: str) -> LoadRefused:
    """Return the error for a refusal by a close code, a status or the code of an `error` event."""
    advice = _ADVICE.get(code)
    return LoadRefused(f"{said}; {advice}" if advice else said)
