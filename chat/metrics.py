"""What is counted, in Prometheus' terms; read at `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

connections = Gauge("chat_connections", "open sockets", multiprocess_mode="livesum")
rooms = Gauge("chat_rooms", "rooms with a member on this worker", multiprocess_mode="livesum")
published = Counter("chat_published", "messages taken from clients and acknowledged by the broker")
delivered = Counter("chat_delivered", "messages written to sockets")
recovered = Counter("chat_recovered", "messages read from the log because they were missed live")
gaps = Counter("chat_gaps", "holes found in the log by a room, or by a member that caught up")
refused = Counter("chat_refused", "connections refused before or right after accept", ["code"])
over_limit = Counter("chat_over_limit", "connections and requests refused because of a limit", ["limit"])
decisions = Counter("chat_decisions", "questions to the service that says who may do what", ["outcome"])
command_errors = Counter("chat_command_errors", "commands answered with an error", ["code"])
slow_handshakes = Counter("chat_slow_handshakes", "connections given up because no request came")
stalled = Counter("chat_stalled", "members closed because they stopped reading")
broker_retries = Counter("chat_broker_retries", "tries to reach the broker again")
foreign_payloads = Counter("chat_foreign_payloads", "payloads on our channels that are not ours, skipped")
