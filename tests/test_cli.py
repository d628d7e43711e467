"""The command line."""

from __future__ import annotations

import os
from collections.abc import Iterator

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


def test_without_a_command_it_says_what_there_is(capsys: Output) -> None:
    """As any program does."""
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "usage: chat" in capsys.readouterr().err
