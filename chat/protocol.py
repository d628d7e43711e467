"""`chat.v1`: its commands, events and close codes, and how they are read and written; pure.

The JSON schemas of both API descriptions come from these classes. See docs/protocol.md for the rules.
"""

from __future__ import annotations

import enum
import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from chat.exceptions import InvalidCommand

SUBPROTOCOL: Final = "chat.v1"

DEFAULT_PAGE: Final = 50  # messages that `history` returns unless told otherwise, and that are replayed at a join
MAX_DEPTH: Final = 100  # of `data`; how much deeper msgspec can read depends on the stack it is called on
MAX_DIGITS: Final = 1000  # of a number in `data`; there are readers that give up on more, Python's among them
MAX_PAGE: Final = 200  # messages that can be asked for at once
MAX_OFFSET: Final = 10**15 - 1  # the largest that can be asked about: every client and every broker can count so far
LISTED_MEMBERS: Final = 200  # people; in a room with more of them, only their number is told

MessageId = Annotated[str, Meta(min_length=1, max_length=64, description="chosen by the client, best a UUID")]


class CloseCode(enum.IntEnum):
    """Why the server closes. A client may come back by itself after 1012, 4408, 4409, 4429 and 4503."""

    NORMAL = 1000
    POLICY_VIOLATION = 1008
    INTERNAL_ERROR = 1011
    RESTART = 1012
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    TOO_MANY_CONNECTIONS = 4408
    STALLED = 4409
    TOO_LARGE = 4413
    RATE_LIMITED = 4429
    UNAVAILABLE = 4503

    @property
    def http_status(self) -> int:
        """The status with which the same refusal is told before the handshake is complete."""
        return _HTTP_STATUS.get(self, 403)


_HTTP_STATUS = {
    CloseCode.MALFORMED: 422,
    CloseCode.UNAUTHENTICATED: 401,
    CloseCode.FORBIDDEN: 403,
    CloseCode.TOO_LARGE: 413,
    CloseCode.TOO_MANY_CONNECTIONS: 429,
    CloseCode.RATE_LIMITED: 429,
    CloseCode.UNAVAILABLE: 503,
}


class ErrorCode(enum.StrEnum):
    """What was wrong with a command, in `error.code`."""

    MALFORMED = "malformed"  # not a JSON object, or a field is missing or wrong
    TOO_LONG = "too_long"  # the text is over the limit in `welcome.limits`
    FORBIDDEN = "forbidden"  # the credential does not allow it
    UNAUTHENTICATED = "unauthenticated"  # the token in `refresh` is not good; the old one still is, until it expires
    RATE_LIMITED = "rate_limited"  # too many commands; the same one can be sent again after `retry_ms`
    UNAVAILABLE = "unavailable"  # the broker is away; the same id can be sent again after `retry_ms`


class User(Struct, frozen=True, gc=False):
    """A person: one id however many tabs, and the name to show."""

    id: str
    name: str


# --- client to server ---------------------------------------------------------------------------


class Content(Struct, gc=False):
    """What is said: exactly one of `text`, `data` and `binary`."""

    text: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    binary: Annotated[bytes, Meta(description="base64")] | UnsetType = UNSET


class Publish(Content, tag="publish", gc=False):
    """Say something to the room."""

    id: MessageId | UnsetType = UNSET


class History(Struct, tag="history"):
    """Ask for messages: the newest, or those next to an offset on one side; it is exclusive."""

    id: MessageId
    before: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] | UnsetType = UNSET
    after: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class Members(Struct, tag="members"):
    """Ask who is here."""

    id: MessageId


class Typing(Struct, tag="typing"):
    """Let the others know that something is being written; no reply."""


class Refresh(Struct, tag="refresh"):
    """Show a new token before the old one expires; the same person's."""

    id: MessageId
    token: str


class Ping(Struct, tag="ping"):
    """Ask for a `pong`, to see that the other side still listens."""

    id: MessageId | UnsetType = UNSET


Command = Publish | History | Members | Typing | Refresh | Ping


class _Head(Struct):
    """As much of a command as is needed to name what is wrong with it."""

    type: Any = UNSET
    id: Any = UNSET


_commands = msgspec.json.Decoder(Command)
_heads = msgspec.json.Decoder(_Head)
_contents = msgspec.json.Decoder(Content)
_TYPES: Final = frozenset(command.__struct_config__.tag for command in get_args(Command))

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))


def decode(frame: str | bytes, *, text_length: int = 0) -> Command | None:
    """Return the command in one frame, or None for a type that this version does not know.

    `text_length` limits the characters of a text; 0: no limit.

    Raises `InvalidCommand`, fatal if the frame is no JSON object at all, or binary.
    """
    if isinstance(frame, bytes):
        raise InvalidCommand("chat.v1 is made of text frames", code=ErrorCode.MALFORMED, fatal=True)
    try:
        command: Command = _commands.decode(frame)
    except msgspec.ValidationError as error:
        _complain_unless_unknown(frame, error)
        return None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidCommand(f"not JSON: {error}", code=ErrorCode.MALFORMED, fatal=True) from None
    if type(command) is Publish:
        check(command, text_length=text_length, id=command.id)
    elif type(command) is History and command.before is not UNSET and command.after is not UNSET:
        raise InvalidCommand("history takes before or after, not both", code=ErrorCode.MALFORMED, id=command.id)
    return command


def decode_content(data: bytes) -> Content:
    """Return what is said in the body of an HTTP request; raises `InvalidCommand`."""
    try:
        content: Content = _contents.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidCommand(str(error), code=ErrorCode.MALFORMED) from None
    return content


def check(content: Content, *, text_length: int, id: str | UnsetType = UNSET) -> None:
    """Raise `InvalidCommand` unless one thing is said, within the limits; `text_length` 0: no limit."""
    text = content.text
    if text is not UNSET and content.data is UNSET and content.binary is UNSET and len(text) <= text_length:
        return  # as most are
    of = None if id is UNSET else id
    if (text is UNSET) + (content.data is UNSET) + (content.binary is UNSET) != 2:
        raise InvalidCommand("a message is exactly one of text, data and binary", code=ErrorCode.MALFORMED, id=of)
    if text is not UNSET and len(text) > text_length > 0:
        reason = f"the text has {len(text)} characters; {text_length} are allowed"
        raise InvalidCommand(reason, code=ErrorCode.TOO_LONG, id=of)
    if content.data is not UNSET:
        data = bytes(content.data)
        if _depth(data) > MAX_DEPTH:
            raise InvalidCommand(f"data is nested deeper than {MAX_DEPTH}", code=ErrorCode.MALFORMED, id=of)
        if len(data) > MAX_DIGITS and _LONG_NUMBER.search(_STRING.sub(b"", data)):
            reason = f"data has a number of more than {MAX_DIGITS} digits"
            raise InvalidCommand(reason, code=ErrorCode.MALFORMED, id=of)


def _depth(data: bytes) -> int:
    """Return how deep JSON is nested, or a number that is at least that and not over the limit."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets <= MAX_DEPTH:
        return brackets
    depth = deepest = 0
    for bracket in re.findall(rb"[\[{\]}]", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _complain_unless_unknown(frame: str | bytes, error: msgspec.ValidationError) -> None:
    try:
        head = _heads.decode(frame)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidCommand("a frame must be one JSON object", code=ErrorCode.MALFORMED, fatal=True) from None
    if isinstance(head.type, str) and head.type not in _TYPES:
        return
    id = head.id if isinstance(head.id, str) and 0 < len(head.id) <= 64 else None
    reason = "a command needs a type, a string" if not isinstance(head.type, str) else f"{head.type}: {error}"
    raise InvalidCommand(reason, code=ErrorCode.MALFORMED, id=id)


# --- server to client ---------------------------------------------------------------------------


class Welcome(Struct, tag="welcome"):
    """The first event: who you are, and from which offset on you are live."""

    room: str
    user: User
    connection: Annotated[str, Meta(description="worker-number; unique")]
    epoch: str
    offset: int
    recovered: Annotated[bool, Meta(description="everything after `since` follows; if false, a gap does")]
    members: Annotated[list[User], Meta(description="who is here; empty above 200 people")]
    count: Annotated[int, Meta(description="how many people are here")]
    limits: dict[str, int]
    heartbeat: Annotated[float, Meta(description="seconds of silence after which a client should ping")]
    expires: Annotated[str, Meta(description="when the credential does: ISO 8601, UTC")] | UnsetType = UNSET


class Message(Struct, tag="message"):
    """What somebody said, at its place in the room's one order."""

    offset: int
    id: str
    user: User
    at: Annotated[str, Meta(description="ISO 8601, UTC, by the broker's clock")]
    text: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    binary: Annotated[bytes, Meta(description="base64")] | UnsetType = UNSET


class Ack(Struct, tag="ack", gc=False):
    """The broker has your message, and this is where it stands; or the new token counts, and this is how long."""

    id: str
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    expires: Annotated[str, Meta(description="ISO 8601, UTC")] | UnsetType = UNSET


class Pong(Struct, tag="pong"):
    """The answer to `ping`."""

    id: str | UnsetType = UNSET


class Error(Struct, tag="error"):
    """A command that could not be carried out."""

    code: str
    message: str
    id: str | UnsetType = UNSET
    retry_ms: int | UnsetType = UNSET


class Gap(Struct, tag="gap"):
    """Messages between `after` and `before`, both exclusive, cannot be delivered here."""

    after: int
    before: int
    reason: str
    epoch: Annotated[str, Meta(description="the epoch that `before` belongs to")]


class HistoryPage(Struct, tag="history"):
    """The answer to `history`: `message` events, oldest first, and whether there are more on that side."""

    id: str
    messages: list[Raw]
    more: bool


class MemberList(Struct, tag="members"):
    """The answer to `members`; the list is empty above 200 people."""

    id: str
    members: list[User]
    count: int


class Presence(Struct, tag="presence"):
    """Who came and who went: people, not sockets. The lists are empty above 200 people."""

    joined: list[User]
    left: list[User]
    count: int


class IsTyping(Struct, tag="typing"):
    """Somebody is writing; good for some seconds."""

    user: User


class Draining(Struct, tag="draining"):
    """This worker is about to stop: come back after `retry_ms`, counted from now. Another worker will answer."""

    retry_ms: int


class Status(Struct, tag="status"):
    """The broker is away, and what is said cannot be delivered; or it is back."""

    state: Literal["degraded", "ok"]


Event = (
    Welcome | Message | Ack | HistoryPage | MemberList | Pong | Error | Gap | Presence | IsTyping | Status | Draining
)

encode = msgspec.json.encode


# --- what the broker carries ---------------------------------------------------------------------


class Body(Struct, gc=False):
    """A message as its sender's worker writes it: all but what only the broker can know."""

    id: str
    user: User
    text: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    binary: bytes | UnsetType = UNSET


def body(
    user: User, text: str | None = None, *, data: Any = None, binary: bytes | None = None, id: str | None = None
) -> Body:
    """Return the body of a message that says one of `text`, `data` and `binary`; without `id` it gets one."""
    if (text is None) + (data is None) + (binary is None) != 2:
        raise ValueError("a message is exactly one of text, data and binary")
    if data is not None and not isinstance(data, Raw):
        data = Raw(msgspec.json.encode(data))
    return Body(
        id=new_id() if id is None else id,
        user=user,
        text=UNSET if text is None else text,
        data=UNSET if data is None else data,
        binary=UNSET if binary is None else binary,
    )


def body_of(user: User, content: Content, id: str | UnsetType) -> Body:
    """Return the same for what a client said, which was checked."""
    return Body(new_id() if id is UNSET else id, user, content.text, content.data, content.binary)


_bodies = msgspec.json.Decoder(Body)
decode_body = _bodies.decode


def encode_message(*, offset: int, at: int, body: bytes) -> bytes:
    """Return the `message` event for a body that is already JSON; `at` in milliseconds since 1970."""
    seconds, thousandths = divmod(at, 1000)
    return b'{"type":"message","offset":%d,"at":"%b.%03dZ",%b' % (
        offset,
        _to_the_second(seconds),
        thousandths,
        body[1:],
    )


def new_id() -> str:
    """Return an id for a message whose author gave it none."""
    return secrets.token_hex(8)


def timestamp(at: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC, such as 2026-11-21T09:41:00.123Z."""
    seconds, thousandths = divmod(at, 1000)
    return f"{_to_the_second(seconds).decode()}.{thousandths:03d}Z"


@lru_cache(maxsize=64)  # one for the second that it is; a few for those who read the log
def _to_the_second(at: int) -> bytes:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
