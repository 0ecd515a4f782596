"""Throttling: Resource Manager's token buckets and the provider's own count of creations."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from azure_sandbox.azure.errors import ServiceError

BUCKETS: Mapping[str, tuple[int, int]] = {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
"""Size and refill for each second, for one subscription, region and principal."""

GLOBAL_FACTOR = 15
"""The cap over all principals of a subscription is that many times as high."""

CREATIONS = ((300.0, 100), (3600.0, 300))
"""Window in seconds and how many groups may be created or deleted within it."""


class Bucket:
    """A token bucket.

    Args:
        size: Tokens when full.
        refill: Tokens for each second.
        clock: Seconds, monotonic.
    """

    def __init__(self, size: int, refill: int, clock: Callable[[], float]) -> None:
        self.size = size
        self.refill = refill
        self.clock = clock
        self._level = float(size)
        self._at = clock()

    def take(self) -> float:
        """Take a token and return 0, or return after how many seconds there will be one."""
        now = self.clock()
        self._level = min(self.size, self._level + (now - self._at) * self.refill)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self.refill
        self._level -= 1
        return 0.0

    @property
    def remaining(self) -> int:
        """Whole tokens that were left after the last request."""
        return int(self._level)


class Limits:
    """What one subscription may ask in a region.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._buckets = {kind: Bucket(size, refill, clock) for kind, (size, refill) in BUCKETS.items()}
        self._changes: Mapping[str, deque[float]] = {"PUT": deque(), "DELETE": deque()}

    def admit(self, method: str) -> dict[str, str]:
        """Count a request and return the headers that tell what is left.

        Raises:
            ServiceError: 429 TooManyRequests with Retry-After.
        """
        kind = kind_of(method)
        bucket = self._buckets[kind]
        wait = bucket.take()
        prefix = "x-ms-ratelimit-remaining-subscription"
        headers = {
            f"{prefix}-{kind}": str(bucket.remaining),
            f"{prefix}-global-{kind}": str(bucket.remaining * GLOBAL_FACTOR),
        }
        if wait:
            raise too_many_requests(wait, headers)
        return headers

    def admit_change(self, method: str) -> None:
        """Count the creation (PUT) or deletion (DELETE) of a group.

        Raises:
            ServiceError: 429 TooManyRequests with Retry-After.
        """
        times = self._changes[method]
        now = self.clock()
        for window, most in CREATIONS:
            recent = [moment for moment in times if moment > now - window]
            if len(recent) >= most:
                raise too_many_requests(recent[0] + window - now, {})
        times.append(now)
        while times and times[0] < now - CREATIONS[-1][0]:
            times.popleft()


def kind_of(method: str) -> str:
    """Return the bucket of an HTTP method."""
    return {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")


def too_many_requests(wait: float, headers: Mapping[str, str]) -> ServiceError:
    """Return the service's 429; `wait` in seconds is rounded up."""
    text = "The number of requests for the subscription has exceeded the limit. Please retry later."
    return ServiceError(429, "TooManyRequests", text, headers={"Retry-After": str(max(1, math.ceil(wait))), **headers})
