"""The command line: `chat serve`, `chat token`, `chat bench`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from chat import __version__
from chat.auth import Authenticator
from chat.bench import command as bench
from chat.exceptions import ChatError
from chat.rights import EVERYTHING, Action, Rights
from chat.server import serve
from chat.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 something is wrong with what was asked for, else its own."""
    options = _parser().parse_args(arguments)
    try:
        code: int | None = options.run(options)
    except ChatError as error:
        print(f"chat: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code or 0


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
    token = commands.add_parser(
        "token",
        help="make a token with CHAT_SECRET_KEY",
        description="Print a token, signed by the first secret in CHAT_SECRET_KEY.",
    )
    token.add_argument("--sub", required=True, metavar="ID", help="who it is for; the person's id")
    token.add_argument("--name", help="the name to show to others")
    token.add_argument(
        "--room", action="append", metavar="PATTERN", help="a room, or several with *; may be repeated (default: all)"
    )
    token.add_argument("--read-only", action="store_true", help="does not allow to say anything")
    token.add_argument("--admin", action="store_true", help="allows to revoke tokens")
    token.add_argument("--ttl", type=int, default=3600, metavar="SECONDS", help="how long it is good (default: 3600)")
    token.set_defaults(run=_token)
    benching = commands.add_parser("bench", help="put a running server under load, and check what comes back")
    bench.add_options(benching)
    benching.set_defaults(run=bench.run)
    return parser


def _serve(options: argparse.Namespace) -> None:
    # By the environment, because workers are processes that read their settings for themselves.
    for name in Settings.model_fields:
        if (value := getattr(options, name)) is not None:
            os.environ[f"CHAT_{name.upper()}"] = value
    serve(Settings.load())


def _token(options: argparse.Namespace) -> None:
    actions = [Action.SUBSCRIBE] if options.read_only else list(Action)
    patterns = options.room or (["*"] if options.read_only else None)
    rights = EVERYTHING if patterns is None else Rights.parse(dict.fromkeys(patterns, actions))
    settings = Settings.load()
    token, _ = Authenticator(settings).issue(
        options.sub, lasts=options.ttl, name=options.name, rights=rights, admin=options.admin
    )
    if 0 < settings.revocation_ttl < options.ttl:
        print("chat: careful: if it is revoked, that is forgotten before it ends: CHAT_REVOCATION_TTL", file=sys.stderr)
    print(token)


if __name__ == "__main__":
    sys.exit(main())
