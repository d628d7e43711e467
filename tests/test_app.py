"""`create_app`: the whole service as one object."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from chat import Settings, SettingsError, create_app


def test_settings_can_be_given() -> None:
    """Or are read from the environment."""
    with TestClient(create_app(Settings.load(max_text_length=5))) as client:
        answer = client.post("/items/foo/messages?token=t", json={"text": "123456"})
    assert answer.status_code == 422
    assert "5 are allowed" in answer.json()["message"]


def test_apps_in_one_process_are_apart() -> None:
    """Each has a manager of its own."""
    with TestClient(create_app()) as one, TestClient(create_app()) as other:
        one.post("/items/foo/messages?token=t", json={"text": "hello"})
        assert len(one.get("/items/foo/messages?token=t").json()["messages"]) == 1
        assert other.get("/items/foo/messages?token=t").json()["messages"] == []


def test_wrong_settings_are_told_when_the_app_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an error whose text can be shown."""
    monkeypatch.setenv("CHAT_BROKER_URL", "http://localhost")
    with pytest.raises(SettingsError, match="CHAT_BROKER_URL"):
        create_app()


def test_open_mode_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is to be surprised by it; who has set a secret is not told."""
    with TestClient(create_app()):
        pass
    with TestClient(create_app(Settings.load(secret_key="x" * 32))):
        pass
    assert [record.levelname for record in caplog.records if "open mode" in record.getMessage()] == ["WARNING"]


def test_a_service_that_has_not_started_is_not_ready() -> None:
    """Alive, though."""
    client = TestClient(create_app())
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    with client:
        assert client.get("/readyz").status_code == 200
