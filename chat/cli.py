"""The command line: `chat serve`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from chat import __version__
from chat.exceptions import SettingsError
from chat.server import serve
from chat.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 something is wrong with what was asked for."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SettingsError as error:
        print(f"chat: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chat", description="A multi-client chat broadcaster.")
    parser.add_argument("--version", action="version", version=f"chat {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve", help="serve the page and the rooms", description="Serve. Every option is also a variable CHAT_…"
    )
    for name, field in Settings.model_fields.items():
        default = str(field.default).replace("%", "%%")
        serving.add_argument(
            f"--{name.replace('_', '-')}", dest=name, metavar="X", help=f"{field.description} (default: {default})"
        )
    serving.set_defaults(run=_serve)
    return parser


def _serve(options: argparse.Namespace) -> None:
    # By the environment, because workers are processes that read their settings for themselves.
    for name in Settings.model_fields:
        if (value := getattr(options, name)) is not None:
            os.environ[f"CHAT_{name.upper()}"] = value
    serve(Settings.load())


if __name__ == "__main__":
    sys.exit(main())
