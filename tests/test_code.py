"""Rules about the code itself: who imports whom, and what has to be the same in two places."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import chat
from chat import protocol
from chat.settings import Settings

ROOT = Path(__file__).parents[1]

# A module imports only from the lines above its own, and within its own package. A new one is put where it belongs.
LAYERS = """
    exceptions frames handshake deadlines turn backoff rate_limit metrics headers bodies rights addresses
    settings names protocol logs
    events plain_text roster jwks asyncapi
    recovery tail codec revocations pace decisions cautions
    auth
    broker transport
    connection feed
    group access
    told
    attendance delivery
    room
    presence admission intake
    manager
    refusal
    session dependencies
    routes
    app
    wire spread
    http
    main server client testing bench
    cli
"""
PURE = (
    "exceptions frames handshake rights names addresses backoff rate_limit protocol events plain_text roster "
    "recovery revocations tail codec"
)
IMPURE = {"asyncio", "io", "logging", "os", "pathlib", "socket", "ssl", "subprocess", "tempfile", "threading", "time"}
ONLY = {
    "redis": {"broker", "presence"},
    "hiredis": {"broker"},
    "httpx": {"decisions"},
    "broadcaster": {"broker"},
    "uvicorn": {"server", "wire", "http"},
    "fastapi": {"manager", "session", "dependencies", "refusal", "routes", "app"},
    "starlette": {"manager", "session", "dependencies", "refusal", "routes", "app", "logs", "headers", "bodies"},
}


def imports() -> Iterator[tuple[str, str]]:
    """Yield what imports what: our own modules and packages by the first part of their name, others by theirs."""
    for path in sorted((ROOT / "chat").rglob("*.py")):
        module = path.relative_to(ROOT / "chat").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "chat":
                yield from ((module, f"chat.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield module, node.module
            elif isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names)


OWN = sorted({(module, used.split(".")[1]) for module, used in imports() if used.startswith("chat.")})
OTHERS = sorted({(module, used.split(".")[0]) for module, used in imports() if used.split(".")[0] != "chat"})


def test_imports_run_one_way() -> None:
    """From top to bottom; what flows up travels through what the lower one was given."""
    layer = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}
    layer |= {"__init__": len(LAYERS), "__version__": -1}
    unknown = {name for pair in OWN for name in pair if name not in layer}
    assert not unknown, f"put {unknown} into LAYERS of this test"
    assert [(m, used) for m, used in OWN if m != used and layer[used] >= layer[m]] == []


@pytest.mark.parametrize("library", ONLY)
def test_a_library_has_its_place(library: str) -> None:
    """So that it can be replaced there, and the rest needs no knowledge of it."""
    assert {module for module, used in OTHERS if used == library} <= ONLY[library]


def test_the_core_is_pure() -> None:
    """No socket, clock, file or event loop."""
    assert [(module, used) for module, used in OTHERS if module in PURE.split() and used in IMPURE] == []


def test_every_module_says_what_it_is() -> None:
    """In its first line."""
    silent = [path for path in (ROOT / "chat").rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_what_is_exported_exists_and_is_documented() -> None:
    """Sorted, for who looks for it."""
    assert chat.__all__ == sorted(chat.__all__)
    assert [name for name in chat.__all__ if not getattr(chat, name).__doc__] == []


def test_the_version_is_one() -> None:
    """In the package, in its metadata, and as the newest in the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == chat.__version__
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("there is no CHANGELOG.md yet")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog.read_text(), re.MULTILINE)
    assert newest is not None, "the changelog has no version"
    assert newest[1] == chat.__version__


# --- the page speaks the same protocol ---

PAGE = (ROOT / "static" / "js" / "protocol.js").read_text()


def javascript_enum(name: str) -> dict[str, str]:
    block = re.search(rf"const {name} = Object\.freeze\(\{{(.*?)\}}\)", PAGE, re.DOTALL)
    assert block is not None, f"static/js/protocol.js has no {name}"
    return {key: value.strip('"') for key, value in re.findall(r'(\w+): ("\w+"|\d+)', block[1])}


def test_close_codes_are_the_same_in_the_page() -> None:
    """Names and numbers."""
    assert javascript_enum("CloseCode") == {code.name: str(int(code)) for code in protocol.CloseCode}


def test_error_codes_are_the_same_in_the_page() -> None:
    """Names and words."""
    assert javascript_enum("ErrorCode") == {code.name: str(code) for code in protocol.ErrorCode}


def test_what_the_page_sends_is_known() -> None:
    """Every command that it makes, and the subprotocol it offers."""
    sent = set(re.findall(r'\{ type: "(\w+)"', PAGE))
    assert sent
    assert sent <= {command.__struct_config__.tag for command in get_args(protocol.Command)}
    assert f'SUBPROTOCOL = "{protocol.SUBPROTOCOL}"' in PAGE


# --- the README ---


def test_every_setting_stands_in_the_readme() -> None:
    """With the name of its variable."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    text = readme.read_text()
    assert [name for name in Settings.model_fields if f"CHAT_{name.upper()}" not in text] == []
