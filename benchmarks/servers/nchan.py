"""nchan, pub/sub inside nginx: becomes an nginx with one worker and no master, messages in memory."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

CONFIGURATION = """
user root;
load_module {root}/usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/items/([^/]+)/ws$ {{
            nchan_pubsub websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_message_buffer_length 100;
        }}
    }}
}}
"""

if __name__ == "__main__":
    port, root = int(sys.argv[1]), Path(sys.argv[2]).resolve()
    folder = Path(tempfile.mkdtemp(prefix="nchan-"))
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(port=port, root=root))
    command = [str(root / "usr/sbin/nginx"), "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    if not Path("/var/lib/nginx").exists():
        # With nchan in it, this nginx also wants a folder that only its package's installation makes. It gets one
        # that nobody else sees.
        private = 'mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/nginx && exec "$@"'
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", private, "sh", *command]
    os.execvp(command[0], command)
