"""nats-server with its WebSocket listener: becomes one that runs on one core, as the others do."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

CONFIGURATION = """
host: 127.0.0.1
port: {inner}
ping_interval: "10m"
websocket {{ host: "127.0.0.1", port: {port}, no_tls: true, compression: false }}
"""

if __name__ == "__main__":
    port, root = int(sys.argv[1]), Path(sys.argv[2])
    configuration = Path(tempfile.mkdtemp(prefix="nats-")) / "nats.conf"
    configuration.write_text(CONFIGURATION.format(port=port, inner=-1))
    server = str(root / "usr/sbin/nats-server")
    os.environ["GOMAXPROCS"] = "1"
    os.execv(server, [server, "-c", str(configuration)])
