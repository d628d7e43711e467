"""`app`, for `uvicorn chat.main:app`."""

import sys

from chat.app import create_app
from chat.exceptions import SettingsError

UVICORN_STARTUP_FAILURE = 3  # tells uvicorn's supervisor that another try would fail as well

try:
    app = create_app()
except SettingsError as error:
    print(f"chat cannot start:\n{error}", file=sys.stderr)
    sys.exit(UVICORN_STARTUP_FAILURE)
