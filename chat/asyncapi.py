"""The WebSocket side as an AsyncAPI 3.0 document, made of the classes that read and write it; pure."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec

from chat import protocol
from chat.protocol import SUBPROTOCOL, CloseCode

_REF = "#/components/schemas/{name}"


def document(*, title: str, version: str) -> dict[str, Any]:
    """Return the description of `/items/{item_id}/ws` in chat.v1, as JSON can hold it."""
    commands, events = get_args(protocol.Command), get_args(protocol.Event)
    _, schemas = msgspec.json.schema_components([*commands, *events], ref_template=_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": f"Offer the subprotocol {SUBPROTOCOL}. Each text frame is one JSON object with a type. "
            "The server closes with: " + ", ".join(f"{code.value} {_words(code.name)}" for code in CloseCode) + ".",
        },
        "defaultContentType": "application/json",
        "channels": {
            "room": {
                "address": "/items/{item_id}/ws",
                "description": "A room: what one member says reaches all, in one order.",
                "parameters": {"item_id": {"description": "the room's name"}},
                "messages": {
                    _name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in commands + events
                },
                "bindings": {"ws": {"query": _query()}},
            }
        },
        "operations": {
            # As the client sees it: it sends commands, and receives events.
            "send": _operation("send", commands),
            "receive": _operation("receive", events),
        },
        "components": {
            "messages": {_name(kind): _message(kind) for kind in commands + events},
            "schemas": schemas,
        },
    }


def _operation(action: str, kinds: tuple[Any, ...]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/room/messages/{_name(kind)}"} for kind in kinds]
    return {"action": action, "channel": {"$ref": "#/channels/room"}, "messages": messages}


def _message(kind: Any) -> dict[str, Any]:
    return {
        "name": kind.__struct_config__.tag,
        "summary": (kind.__doc__ or "").strip(),
        "payload": {"$ref": _REF.format(name=_name(kind))},
    }


def _query() -> dict[str, Any]:
    parameters = {
        "token": "the credential, if there is no session cookie",
        "name": "the name to show to others",
        "since": "epoch:offset of the last message seen: what came after follows",
        "history": f"how many messages to replay, without since; 0 to {protocol.MAX_PAGE}",
    }
    properties = {name: {"type": "string", "description": text} for name, text in parameters.items()}
    return {"type": "object", "properties": properties}


def _name(kind: Any) -> str:
    name: str = kind.__name__
    return name


def _words(name: str) -> str:
    return re.sub("_", " ", name).lower()
