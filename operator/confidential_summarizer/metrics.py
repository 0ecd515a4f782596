"""What Prometheus can ask about the operator; labels are bounded, never the name of a resource."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

RECONCILES = Counter("csum_reconcile_total", "Reconciles, by result.", ["result"])
DURATION = Histogram("csum_reconcile_duration_seconds", "Duration of one reconcile, in seconds.")


@contextmanager
def observed() -> Iterator[None]:
    """Count and time a reconcile that ends without an error."""
    start = time.monotonic()
    yield
    DURATION.observe(time.monotonic() - start)
    RECONCILES.labels(result="ok").inc()
