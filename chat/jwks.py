"""The public keys of whoever issues tokens for us, read from its JWKS address."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from jwt import PyJWK, PyJWKSet, PyJWTError

from chat.exceptions import CredentialsUnavailable

logger = logging.getLogger("chat.jwks")

FRESH = 300.0  # seconds for which what was read is taken for true; a key that was withdrawn counts until then
AGAIN = 10.0  # seconds between two tries, however many unknown keys are shown
TIMEOUT = 5.0  # seconds
MOST_BYTES = 1_048_576


class KeySet:
    """Keeps the keys, and reads them again when they are old or when one is asked for that is not among them.

    While the address cannot be reached the keys that are known go on to count.
    """

    def __init__(
        self, url: str, *, fetch: Callable[[str], Any] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._fetch = fetch or _fetch
        self._clock = clock
        self._keys: dict[str | None, PyJWK] = {}
        self._read: float | None = None  # when they were read
        self._tried: float | None = None  # when that was last tried
        self._reading = asyncio.Lock()

    async def key(self, kid: str | None) -> PyJWK | None:
        """Return the key of that name, or None; raises `CredentialsUnavailable` if none could ever be read."""
        if self._wants(kid):
            async with self._reading:
                if self._wants(kid):  # nobody else has read them while this one waited
                    await self._refresh()
        if self._read is None:
            raise CredentialsUnavailable("the keys for tokens cannot be read at the moment; try again")
        return self._keys.get(kid)

    def _wants(self, kid: str | None) -> bool:
        now = self._clock()
        if self._tried is not None and now - self._tried < AGAIN:
            return False
        return self._read is None or now - self._read >= FRESH or kid not in self._keys

    async def _refresh(self) -> None:
        self._tried = self._clock()
        try:
            keys = PyJWKSet.from_dict(await asyncio.to_thread(self._fetch, self._url)).keys
        except (OSError, ValueError, TypeError, AttributeError, PyJWTError) as error:
            logger.warning("the keys at %s cannot be read: %s", self._url, error)
            return
        usable = [key for key in keys if key.public_key_use in (None, "sig") and key.key_type != "oct"]
        self._keys = {key.key_id: key for key in usable}
        if len(usable) == 1:
            self._keys[None] = usable[0]  # a token need not say which, if there is only one
        self._read = self._clock()


def _fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        return json.loads(answer.read(MOST_BYTES))
