"""The description of the WebSocket side, and the page that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from fastapi.testclient import TestClient

from chat import asyncapi, protocol
from chat.main import app


@pytest.fixture
def document() -> dict[str, Any]:
    return asyncapi.document(title="Chat", version="1")


def test_every_command_and_event_is_described(document: dict[str, Any]) -> None:
    """Commands are sent by the client, events received, each with a sentence and a schema of its own."""
    for operation, kinds in (("send", protocol.Command), ("receive", protocol.Event)):
        references = [message["$ref"] for message in document["operations"][operation]["messages"]]
        assert references == [f"#/channels/room/messages/{kind.__name__}" for kind in get_args(kinds)]
    assert all(message["summary"] for message in document["components"]["messages"].values())


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Within the document."""
    for reference in _references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_schemas_are_those_of_what_is_sent(document: dict[str, Any]) -> None:
    """A field that is added to a class is described."""
    for kind in get_args(protocol.Event):
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert set(document["components"]["schemas"][kind.__name__]["properties"]) == fields | {"type"}


def test_the_service_serves_it(document: dict[str, Any]) -> None:
    """For programs, and for people without any script."""
    client = TestClient(app)
    assert client.get("/asyncapi.json").json()["channels"] == document["channels"]
    page = client.get("/asyncapi").text
    assert "<code>publish</code>" in page
    assert not re.search("<script", page)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key == "$ref")
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
