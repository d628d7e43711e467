"""What the browser is told to be careful with."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from chat import create_app
from chat.headers import PAGE_POLICY
from tests.servers import ROOT

PAGE = ("/", "/?plain=1", "/static/index.html", "/static/js/main.js", "/static/css/base.css", "/static/favicon.svg")


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app())


@pytest.mark.parametrize("path", PAGE)
def test_the_page_and_its_files_load_from_our_own_host_only(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY


@pytest.mark.parametrize("path", PAGE)
def test_the_page_and_its_files_are_asked_for_again_and_not_sent_again(client: TestClient, path: str) -> None:
    """A new version is there at once; an old one costs no bytes."""
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == PAGE_POLICY
    assert again.content == b""


@pytest.mark.parametrize("path", [*PAGE, "/docs", "/healthz", "/nowhere", "/items/foo/members", "/static/nowhere.js"])
def test_no_answer_gives_an_address_away_or_is_taken_for_something_else(client: TestClient, path: str) -> None:
    """A token may stand in the address."""
    answer = client.get(path)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["index.html", "plain.html"])
def test_the_page_keeps_to_its_policy(name: str) -> None:
    """No script, style or handler in the markup, and nothing from elsewhere."""
    page = (ROOT / "static" / name).read_text()
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:|(src|href)=\"(https?:)?//", page)
