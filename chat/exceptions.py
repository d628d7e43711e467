"""Every error that the package raises on purpose.

ChatError
├── SettingsError           settings that are wrong or do not fit together
├── InvalidName             a room's or a person's name that is not allowed
├── InvalidCommand          a client's command that does not keep to the protocol
├── InvalidCredential       a token that is not signed, expired or otherwise not good
├── Forbidden               a good credential that does not allow this
├── TooManyConnections      of one person, or from one address
├── TooManyRequests         over HTTP, by one person or from one address
├── CredentialsUnavailable  it cannot be told now whether a credential is good
├── DecisionUnavailable     it cannot be told now who may do what
├── ConnectionClosed        the member has left; there is nobody to send to
├── LoadRefused             a server does not take the load that `chat bench` puts on it
└── BrokerError
    ├── BrokerUnavailable   the broker cannot be reached now; trying again makes sense
    └── ForeignPayload      something on our channel that we did not put there
"""

from __future__ import annotations


class ChatError(Exception):
    """Root of the tree; its text is a sentence that can be shown to a person."""


class SettingsError(ChatError):
    """Settings that are wrong or do not fit together; says which and what to do."""


class InvalidName(ChatError):
    """A room's or a person's name that is not allowed; says what is."""


class InvalidCommand(ChatError):
    """A client's frame that is no valid command.

    `code` is one of `protocol.ErrorCode`; `id` is the command's own id, if it could be read;
    `fatal` tells that the stream makes no sense any more and is to be closed.
    """

    def __init__(self, message: str, *, code: str, id: str | None = None, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.id = id
        self.fatal = fatal


class InvalidCredential(ChatError):
    """A token that is not good; says why, but never what it is."""


class Forbidden(ChatError):
    """A person who is known may not do this."""


class TooManyConnections(ChatError):
    """One person, or one address, has as many open as are allowed; trying again later makes sense."""


class TooManyRequests(ChatError):
    """Somebody asks too often. `retry_after`: after how many seconds to try again."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialsUnavailable(ChatError):
    """It cannot be told now whether a credential is good; trying again makes sense."""


class LoadRefused(ChatError):
    """A server does not take the load that `chat bench` puts on it; says what to set."""


class DecisionUnavailable(ChatError):
    """It cannot be told now who may do what; trying again after `retry_ms` makes sense."""

    retry_ms = 1000


class BrokerError(ChatError):
    """Something went wrong between this worker and its broker."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached now. `retry_ms`: after how many milliseconds to try again."""

    def __init__(self, message: str, *, retry_ms: int = 1000) -> None:
        super().__init__(message)
        self.retry_ms = retry_ms


class ForeignPayload(BrokerError):
    """Something on our channel that we did not put there; it is skipped and counted."""
