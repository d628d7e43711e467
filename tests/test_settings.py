"""Settings: safe by default, and whoever sets something wrong is told what."""

import pytest

from chat.broker import MemoryBroker, RedisBroker, from_settings
from chat.exceptions import SettingsError
from chat.settings import Settings

WRONG = {
    "CHAT_PORT": ("eighty", "-1", "65536"),
    "CHAT_WORKERS": ("0", "many"),
    "CHAT_LOG_LEVEL": ("loud", ""),
    "CHAT_ALLOWED_ORIGINS": (
        "*",
        "example.org",
        "https://example.org/",
        "https://a.example, b.example",
        "ftp://a.example",
    ),
    "CHAT_SECRET_KEY": ("x" * 31, "x" * 32 + ",short"),
    "CHAT_JWKS_URL": ("http://id.example", "id.example", "file:///etc/passwd"),
    "CHAT_GUESTS": ("perhaps",),
    "CHAT_SESSION_TTL": ("0",),
    "CHAT_TOKEN_TTL": ("0",),
    "CHAT_AUTHORIZE_URL": ("example.org", "ftp://example.org", "https://"),
    "CHAT_AUTHORIZE_SECRET": ("short", "x" * 31, "x" * 40 + " y", "x" * 40 + "\r\nX-Evil: 1", "ключ" * 10),
    "CHAT_AUTHORIZE_TIMEOUT": ("0", "-1", "61", "soon"),
    "CHAT_AUTHORIZE_TTL": ("-1", "nan", "3601"),
    "CHAT_REVOCATION_TTL": ("-1", "a month"),
    "CHAT_BROKER_URL": ("", "localhost:6379", "http://localhost", "redis://[::1"),
    "CHAT_BROKER_PREFIX": ("", "a b", "x" * 65),
    "CHAT_BROKER_TIMEOUT": ("0", "-1", "nan", "soon"),
    "CHAT_HISTORY_SIZE": ("-1", "1.5"),
    "CHAT_HISTORY_TTL": ("-1", "a day"),
    "CHAT_IDEMPOTENCY_TTL": ("-1",),
    "CHAT_MAX_FRAME_BYTES": ("-1", "64k"),
    "CHAT_MAX_TEXT_LENGTH": ("-1",),
    "CHAT_RATE_LIMIT": ("-1", "fast"),
    "CHAT_RATE_BURST": ("0",),
    "CHAT_MAX_CONNECTIONS": ("-1",),
    "CHAT_MAX_CONNECTIONS_PER_USER": ("-1", "few"),
    "CHAT_MAX_CONNECTIONS_PER_ADDRESS": ("-1", "few"),
    "CHAT_HANDSHAKE_TIMEOUT": ("-1", "nan"),
    "CHAT_SEND_BUFFER_BYTES": ("-1", "12"),
    "CHAT_HEARTBEAT": ("-1", "inf"),
    "CHAT_PONG_TIMEOUT": ("0", "nan"),
    "CHAT_DRAIN_TIMEOUT": ("-1",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_told_by_a_sentence_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, which begins with the variable to change."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: \S.+") as error:
        Settings.load()
    assert "\n" not in str(error.value)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to start the server once for each mistake."""
    monkeypatch.setenv("CHAT_PORT", "eighty")
    monkeypatch.setenv("CHAT_WORKERS", "0")
    with pytest.raises(SettingsError, match=r"CHAT_PORT(.|\n)*CHAT_WORKERS"):
        Settings.load()


def test_a_brokers_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error messages end up in logs."""
    monkeypatch.setenv("CHAT_BROKER_URL", "http://user:hunter2@localhost")
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert "hunter2" not in str(error.value)


def test_a_secret_is_not_shown() -> None:
    """Neither when it is wrong nor among the others."""
    with pytest.raises(SettingsError) as error:
        Settings.load(secret_key="hunter2")
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in repr(Settings.load(secret_key="hunter2" * 5))
    for wrong in ({"authorize_secret": "hunter2"}, {"authorize_url": "ftp://ada:hunter2@example.org"}):
        with pytest.raises(SettingsError) as error:
            Settings.load(**wrong)
        assert "hunter2" not in str(error.value)
    assert "hunter2" not in repr(Settings.load(authorize_secret="hunter2" * 5))


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """By variables that begin with CHAT_; others are none of ours."""
    monkeypatch.setenv("CHAT_PORT", "9000")
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("CHAT_UNHEARD_OF", "1")
    assert Settings.load().port == 9000


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said in the code is meant."""
    monkeypatch.setenv("CHAT_PORT", "9000")
    assert Settings.load(port=9001).port == 9001


def test_every_setting_says_what_it_is() -> None:
    """The descriptions are the help of `chat serve`."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBroker),
        ("redis://localhost:6379/0", RedisBroker),
        ("rediss://localhost", RedisBroker),
        ("unix:///run/redis.sock", RedisBroker),
    ],
)
def test_the_scheme_chooses_the_broker(url: str, kind: type) -> None:
    """Without connecting yet."""
    assert isinstance(from_settings(Settings.load(broker_url=url)), kind)


@pytest.mark.parametrize("url", ["redis://localhost:port", "redis://localhost:70000", "redis://localhost/?db=x"])
def test_an_address_that_redis_cannot_have_is_refused(url: str) -> None:
    """When the broker is made, so before the service starts."""
    with pytest.raises(SettingsError, match="CHAT_BROKER_URL"):
        from_settings(Settings.load(broker_url=url))
