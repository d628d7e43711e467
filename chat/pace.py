"""How fast somebody may ask over HTTP: a person, or an address that shows no good credential."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chat import metrics
from chat.exceptions import TooManyRequests
from chat.rate_limit import TokenBucket

MOST = 10_000  # that are remembered; whoever asked longest ago is forgotten, and may then ask as if for the first time
LONGEST_WAIT = 60.0  # seconds that anybody is told to wait


class Pace:
    """A token bucket for everybody who asked lately, on this worker. A `rate` of 0 is no limit."""

    def __init__(
        self, rate: float, burst: float, *, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()  # by who asks, the latest last

    def demand(self, kind: str, who: str) -> None:
        """Let somebody ask once more; raises `TooManyRequests`. `kind` is what the metric calls it."""
        if not self._rate:
            return
        now = self._clock()
        if wait := self._bucket(f"{kind} {who}", now).take(now):
            metrics.over_limit.labels(limit=kind).inc()
            raise TooManyRequests("that is too much at once; try again later", retry_after=min(wait, LONGEST_WAIT))

    def _bucket(self, key: str, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, now=now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket
