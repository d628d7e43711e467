"""The command line."""

from __future__ import annotations

import os
from collections.abc import Iterator

import jwt
import pytest

from chat import __version__
from chat.cli import main
from chat.settings import Settings

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment_of_its_own() -> Iterator[None]:
    """The command passes its options on by the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_the_version(capsys: Output) -> None:
    """The package's."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"chat {__version__}\n"


def test_every_setting_is_an_option_of_serve(capsys: Output) -> None:
    """With what it means."""
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert " ".join(str(field.description).split()) in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "--port", "eighty"], "CHAT_PORT: "),
        (["serve", "--workers", "2"], "CHAT_BROKER_URL"),
        (["serve", "--broker-url", "http://user:hunter2@localhost"], "CHAT_BROKER_URL: "),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(capsys: Output, arguments: list[str], sentence: str) -> None:
    """On standard error, with exit code 2, and no password."""
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("chat: ")
    assert sentence in told.err
    assert "hunter2" not in told.err
    assert not told.out


def test_a_token_is_printed(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed by the first secret, with what was asked for."""
    monkeypatch.setenv("CHAT_SECRET_KEY", "x" * 32 + "," + "y" * 32)
    assert main(["token", "--sub", "ada", "--name", "Ada", "--room", "tea", "--read-only", "--ttl", "60"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), "x" * 32, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 60
    assert (claims["sub"], claims["name"], claims["rooms"]) == ("ada", "Ada", {"tea": ["subscribe"]})
    assert "admin" not in claims


def test_a_token_that_outlives_its_revocation_is_warned_of(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is printed all the same, and nothing else on that line."""
    monkeypatch.setenv("CHAT_SECRET_KEY", "x" * 32)
    for ttl, warned in (("2592000", False), ("2592001", True)):
        assert main(["token", "--sub", "ada", "--ttl", ttl]) == 0
        told = capsys.readouterr()
        assert ("CHAT_REVOCATION_TTL" in told.err) is warned
        assert told.out.count(".") == 2


def test_a_token_needs_a_secret(capsys: Output) -> None:
    """Which is told in a sentence."""
    assert main(["token", "--sub", "ada"]) == 2
    assert "CHAT_SECRET_KEY" in capsys.readouterr().err


def test_without_a_command_it_says_what_there_is(capsys: Output) -> None:
    """As any program does."""
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "usage: chat" in capsys.readouterr().err
