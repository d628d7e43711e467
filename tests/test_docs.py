"""What the documentation says of names, defaults and other files is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import Counter, Gauge

from chat import metrics, protocol
from chat.settings import Settings
from tests.servers import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def without_code(page: str) -> str:
    return re.sub(r"```.*?```", "", page, flags=re.DOTALL)


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file in the repository, and to a heading in it."""
    lost = []
    for target in re.findall(r"\]\((?!\w+://)([^)\s]+)\)", without_code(path.read_text())):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            lost.append(target)
    assert lost == []


def test_the_readme_has_every_setting_with_its_default() -> None:
    """One line each, in the order of the class."""
    readme = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- settings: begin -->(.*?)<!-- settings: end -->", readme, re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| `(CHAT_\w+)` \| `(.*?)` \|", table[1], re.MULTILINE)
    assert rows == [
        (f"CHAT_{name.upper()}", str(field.default) or "unset") for name, field in Settings.model_fields.items()
    ]


def test_the_specification_has_every_close_code_command_and_event() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    codes = [str(int(code)) for code in protocol.CloseCode]
    assert [code for code in codes if not re.search(rf"^\| {code} \|", page, re.MULTILINE)] == []
    assert [str(code) for code in protocol.ErrorCode if f"| `{code}` |" not in page] == []
    kinds = [kind.__struct_config__.tag for kind in (*protocol.Command.__args__, *protocol.Event.__args__)]
    assert [kind for kind in kinds if f'{{"type":"{kind}"' not in page] == []


def test_operations_names_every_metric() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    names = [
        next(iter(metric.describe())).name for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge)
    ]
    assert len(names) > 5
    assert [name for name in names if not re.search(rf"^\| `{name}(_total)?(\{{\w+\}})?` \|", page, re.MULTILINE)] == []


# --- the code in it ---


def python_in(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_piece_of_python_is_python(path: Path) -> None:
    for source in python_in(path):
        compile(source, path.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_app_in_the_readme_works() -> None:
    (source,) = python_in(ROOT / "README.md")
    module: dict = {}
    exec(source.replace("redis://localhost:6379/0", "memory://"), module)
    with TestClient(module["app"]) as client, client.websocket_connect("/rooms/tea") as socket:
        socket.send_text("Hello")
        assert socket.receive_text() == "Hello"


def test_the_test_in_the_page_on_embedding_passes() -> None:
    (source,) = [source for source in python_in(ROOT / "docs" / "embedding.md") if "def test_" in source]
    module: dict = {}
    exec(source, module)
    module["test_what_one_says_the_other_hears"]()
