"""The service keeps to its own OpenAPI document, whatever is asked: requests are made from it, and answers held to it.

Schemathesis would do the same and more, and brings fifteen packages; what is used of JSON Schema here is little.
"""

from __future__ import annotations

import json
import string
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat import create_app
from tests.issuer import SECRET, token
from tests.servers import ChatServer

FEW, MANY = 25, 1000

Schema = dict[str, Any]

DOCUMENT = create_app().openapi()
ENDLESS = {("get", "/items/{item_id}/events")}
OPERATIONS = [
    (method, path) for path, item in DOCUMENT["paths"].items() for method in item if (method, path) not in ENDLESS
]
GOOD = token(admin=True)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", GOOD, "tea"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# What can stand in a header without being cut or refused by our own client.
WORDS = st.text(string.ascii_letters + string.digits + string.punctuation.replace(";", "").replace(",", ""), min_size=1)


def resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        schema = DOCUMENT["components"]["schemas"][name]
    return schema


# --- requests ---


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Return what a schema asks for, and now and then something else."""
    schema = resolved(schema)
    return st.one_of([_wanted(schema)] * 4 + [ANY])


def _wanted(schema: Schema) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([_wanted(resolved(option)) for option in schema["anyOf"]])
    match schema.get("type"):
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 200)) | st.just("tea")
        case "integer":
            return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
        case "null":
            return st.none()
        case "array":
            return st.lists(values(schema["items"]), max_size=3)
        case "object" if "properties" in schema:
            fields = {name: values(field) for name, field in schema["properties"].items()}
            return st.fixed_dictionaries({}, optional=fields)
    return ANY


@st.composite
def requests(draw: st.DrawFn, method: str, path: str) -> dict[str, Any]:
    """Return a request that makes use of anything that the document says of an operation."""
    operation = DOCUMENT["paths"][path][method]
    query: dict[str, str] = {}
    headers = draw(st.sampled_from([{}, {"Authorization": f"Bearer {GOOD}"}, {"Authorization": f"Bearer {GOOD}"}]))
    headers = {**headers, **draw(st.sampled_from([{}, {}, {"Origin": "null"}]))}
    for parameter in operation.get("parameters", ()):
        where, name = parameter["in"], parameter["name"]
        if where == "path":
            # A line break is no part of any path that is known here, and leads to 404.
            room = draw(st.text(min_size=1).filter(lambda name: name.strip(".") and "\n" not in name) | st.just("tea"))
            path = path.replace(f"{{{name}}}", quote(room, safe="", errors="replace"))
        elif draw(st.booleans()):
            continue
        elif where == "query":
            query[name] = str(draw(values(parameter["schema"])))
        elif where == "header":
            headers[name] = draw(WORDS)
        elif where == "cookie":
            headers["Cookie"] = f"{name}={draw(WORDS)}"
    request: dict[str, Any] = {"method": method, "url": path + _encoded(query), "headers": headers}
    if "requestBody" in operation:
        body = draw(values(operation["requestBody"]["content"]["application/json"]["schema"]))
        request["content"] = draw(st.sampled_from([json.dumps(body).encode()] * 9 + [b"{", b"\xff", b"[" * 5000, b""]))
        headers["Content-Type"] = draw(
            st.sampled_from(["application/json"] * 4 + ["text/plain", "application/xml", ""])
        )
    return request


def _encoded(query: dict[str, str]) -> str:
    return "?" + "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in query.items())


# --- answers ---


def faults(value: Any, schema: Schema, where: str = "$") -> list[str]:
    """Return in what a value does not keep to a schema."""
    schema = resolved(schema)
    if "anyOf" in schema:
        found = [faults(value, option, where) for option in schema["anyOf"]]
        return [] if [] in found else found[0]
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    kind = kinds.get(schema.get("type", ""))
    if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return [f"{where} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is none of {schema['enum']}"]
    found_here: list[str] = []
    if isinstance(value, dict):
        found_here += [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, field in schema.get("properties", {}).items():
            if name in value:
                found_here += faults(value[name], field, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found_here += faults(item, schema["items"], f"{where}[{index}]")
    return found_here


def assert_documented(response: httpx.Response, method: str, path: str) -> None:
    documented = DOCUMENT["paths"][path][method]["responses"]
    assert response.status_code < 500, response.text
    assert str(response.status_code) in documented, f"{response.status_code}: {response.text}"
    content = documented[str(response.status_code)].get("content", {})
    if not content:
        assert response.content == b""
        return
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in content
    if kind == "application/json":
        assert faults(response.json(), content[kind].get("schema", {})) == []


# --- the tests ---


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[ChatServer]:
    settings = {"CHAT_SECRET_KEY": SECRET, "CHAT_GUESTS": "true"}
    async with ChatServer(**settings) as server:  # type: ignore[arg-type]
        yield server
        assert "Traceback" not in server.log
        assert GOOD not in server.log


def live(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


async def keeps_to_the_document(server: ChatServer, method: str, path: str, request: dict[str, Any]) -> None:
    async with server.http() as http:
        assert_documented(await http.request(**request), method, path)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@given(data=st.data())
@live(FEW)
async def test_every_answer_is_documented(server: ChatServer, method: str, path: str, data: st.DataObject) -> None:
    """Its status, its type and its schema."""
    await keeps_to_the_document(server, method, path, data.draw(requests(method, path)))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@given(data=st.data())
@live(MANY)
async def test_every_answer_is_documented_for_long(
    server: ChatServer, method: str, path: str, data: st.DataObject
) -> None:
    await keeps_to_the_document(server, method, path, data.draw(requests(method, path)))


def test_what_can_be_refused_says_how() -> None:
    """In one and the same form."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                if status.startswith("4"):
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Refusal"}, f"{method} {path} {status}"
