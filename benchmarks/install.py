"""Installs the peers that are not among our own dependencies, into a folder that git ignores; says what it skips.

    python -m benchmarks.install            all of them
    python -m benchmarks.install python     only those of one kind: python, broadcaster, node, debian

Nothing is installed outside that folder: virtual environments, a node_modules, and Debian packages unpacked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.servers import PEERS

PYTHON = ["uvicorn", "uvloop", "python-socketio", "redis", "channels", "channels-redis", "picows", "websockets"]
# With a redis-py that its Redis backend hears with.
BROADCASTER = ["uvicorn", "uvloop", "websockets", "broadcaster", "redis<6", "starlette"]
NODE = ["ws", "redis"]
DEBIAN = ["nats-server", "nginx", "libnginx-mod-nchan"]


def main(kinds: Sequence[str]) -> int:
    """Install; returns 1 if something was skipped."""
    PEERS.mkdir(exist_ok=True)
    skipped = False
    for kind in kinds or INSTALLERS:
        try:
            versions = sorted(INSTALLERS[kind]())
        except (OSError, subprocess.CalledProcessError) as error:
            skipped = True
            print(f"skipped {kind}: {_reason(error)}", file=sys.stderr)
        else:
            (PEERS / f"{kind}.txt").write_text("".join(f"{line}\n" for line in versions))
            print(f"{kind}: {', '.join(versions)}")
    return int(skipped)


def _python() -> Iterator[str]:
    return _environment("python", PYTHON)


def _broadcaster() -> Iterator[str]:
    for line in _environment("broadcaster", BROADCASTER):
        name, version = line.split()
        if name in ("broadcaster", "redis"):
            yield line if name == "broadcaster" else f"redis {version} for it"


def _environment(name: str, wanted: Sequence[str]) -> Iterator[str]:
    """Make a virtual environment with packages; yields their names and versions."""
    folder = PEERS / name
    pip = str(folder / "bin" / "pip")
    if not folder.exists():
        _run(sys.executable, "-m", "venv", str(folder))
    _run(pip, "install", "--quiet", "--disable-pip-version-check", *wanted)
    names = [re.split("[<>=]", package)[0] for package in wanted]
    for line in _run(pip, "freeze").splitlines():
        package, _, version = line.partition("==")
        if package.lower() in names:
            yield f"{package} {version}"


def _node() -> Iterator[str]:
    folder = PEERS / "node"
    folder.mkdir(exist_ok=True)
    _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE)
    yield f"node {_run('node', '--version').strip().removeprefix('v')}"
    for name in NODE:
        script = f"require({str(folder / 'node_modules' / name / 'package.json')!r}).version"
        yield f"{name} {_run('node', '-p', script).strip()}"


def _debian() -> Iterator[str]:
    folder = PEERS / "debian"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _run("apt-get", "download", *DEBIAN, cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(package), str(folder))
        name, version = _run("dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(package)).split()
        yield f"{name} {version}"
        package.unlink()


INSTALLERS: dict[str, Callable[[], Iterator[str]]] = {
    "python": _python,
    "broadcaster": _broadcaster,
    "node": _node,
    "debian": _debian,
}


def _run(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def _reason(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr.strip().splitlines() or [str(error)])[-1]
    return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
