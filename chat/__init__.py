"""A multi-client chat broadcaster: rooms over WebSockets, in one order, across workers and hosts."""

__version__ = "0.1.0"

from chat.app import create_app
from chat.connection import Connection
from chat.events import Position
from chat.exceptions import BrokerUnavailable, ChatError, DecisionUnavailable, Forbidden, InvalidName, SettingsError
from chat.manager import ConnectionManager
from chat.protocol import CloseCode, User
from chat.refusal import refuse
from chat.rights import Action
from chat.session import converse
from chat.settings import Settings

__all__ = [
    "Action",
    "BrokerUnavailable",
    "ChatError",
    "CloseCode",
    "Connection",
    "ConnectionManager",
    "DecisionUnavailable",
    "Forbidden",
    "InvalidName",
    "Position",
    "Settings",
    "SettingsError",
    "User",
    "converse",
    "create_app",
    "refuse",
]
