"""`app`, for `uvicorn chat.main:app`."""

import gc
import sys

from chat.app import create_app
from chat.exceptions import SettingsError

UVICORN_STARTUP_FAILURE = 3  # tells uvicorn's supervisor that another try would fail as well

try:
    app = create_app()
except SettingsError as error:
    print(f"chat cannot start:\n{error}", file=sys.stderr)
    sys.exit(UVICORN_STARTUP_FAILURE)

# What was imported stays for good: the collector need not look at it again, nor look as often as its defaults have it.
# That takes a quarter off the CPU time of a connection. The middle number bounds how long a collection of what is
# neither new nor old can take: with 10, its default, 40 ms while thousands connect.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 3, 10)
