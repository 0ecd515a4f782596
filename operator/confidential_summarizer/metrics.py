"""What Prometheus can ask about the operator, chosen for alerts; labels are bounded, never the name of a resource."""

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from confidential_summarizer.api.status import ConditionStatus, ConditionType, Status
from confidential_summarizer.reconcile.loops import Loop
from confidential_summarizer.reconcile.run import Visit

VISITS = Counter(
    "csum_reconcile_total",
    "Looks at a resource, by what came of them: done, paused, waiting, stalled, retry, failed, removing, gone, error.",
    ["result"],
)
DURATION = Histogram(
    "csum_reconcile_duration_seconds",
    "Duration of one look at a resource, in seconds.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900),
)
DRIFT = Counter("csum_drift_total", "Changes by others that were found in deployed objects.", ["action"])
AZURE = Counter(
    "csum_azure_requests_total",
    "Answers of Azure's services, by class (ok, throttled, denied, …).",
    ["service", "class"],
)
LEADER = Gauge("csum_leader", "1 while this process works, 0 while it stands by.")


def finished(visit: Visit | None, seconds: float) -> None:
    """Count a look at a resource; None: not even its status could be written."""
    VISITS.labels(result=visit.result.value if visit else "error").inc()
    DURATION.observe(seconds)
    drifted = visit.status.condition(ConditionType.DRIFTED) if visit and visit.status else None
    if drifted is not None:
        DRIFT.labels(action=drifted.reason).inc()


def answered(service: str, status: int | None) -> None:
    """Count an answer of one of Azure's services; None: it could not be reached."""
    AZURE.labels(service, answer_class(status)).inc()


def answer_class(status: int | None) -> str:
    """Return what an HTTP status means for an alert."""
    named = {None: "unreachable", 401: "denied", 403: "denied", 404: "not_found", 408: "failed", 429: "throttled"}
    if status in named:
        return named[status]
    return "failed" if status is not None and status >= 500 else "refused" if status and status >= 400 else "ok"


class Fleet(Collector):
    """All resources as they stand, read at the time of the question."""

    def __init__(self, loops: Iterable[Loop]) -> None:
        """Keep the loops to ask them; see `registered`."""
        self._loops = loops

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        loops, now = list(self._loops), datetime.now(UTC)
        visits = [loop.visit for loop in loops if loop.visit is not None]
        statuses = [visit.status for visit in visits if visit.status is not None]
        resources = GaugeMetricFamily(
            "csum_resources", "Resources, by Ready and its reason.", labels=["ready", "reason"]
        )
        for values, count in Tally(map(_readiness, statuses)).items():
            resources.add_metric(values, count)
        yield resources
        waits = GaugeMetricFamily(
            "csum_not_ready_age_seconds",
            "Time for which a resource has not been Ready, the longest of each reason.",
            labels=["reason"],
        )
        for reason, longest in _longest_waits(statuses, now).items():
            waits.add_metric([reason], longest)
        yield waits
        drifted = sum(status.condition(ConditionType.DRIFTED) is not None for status in statuses)
        yield GaugeMetricFamily("csum_drifted_resources", "Resources with drift at the last look.", drifted)
        going = [(now - visit.deleting_since).total_seconds() for visit in visits if visit.deleting_since]
        yield GaugeMetricFamily("csum_deletion_age_seconds", "Age of the longest deletion.", max(going, default=0))
        # Who is going is no longer asked, and nobody relies on it.
        staying = [visit.status for visit in visits if visit.status is not None and visit.deleting_since is None]
        checked = [age for status in staying if (age := _attestation_age(status, now)) is not None]
        yield GaugeMetricFamily(
            "csum_attestation_age_seconds",
            "Age of the oldest evidence that is relied on.",
            max(checked, default=0),
        )
        busy = [time.monotonic() - loop.busy_since for loop in loops if loop.busy_since is not None]
        yield GaugeMetricFamily("csum_queue_length", "Resources that are looked at, or wait for their turn.", len(busy))
        yield GaugeMetricFamily("csum_queue_age_seconds", "Age of the longest look or wait.", max(busy, default=0))

    def __enter__(self) -> "Fleet":
        REGISTRY.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        REGISTRY.unregister(self)


def _readiness(status: Status) -> tuple[str, str]:
    ready = status.condition(ConditionType.READY)
    return (ready.status.value, ready.reason) if ready else ("Unknown", "Unknown")


def _longest_waits(statuses: Iterable[Status], now: datetime) -> Mapping[str, float]:
    longest: dict[str, float] = {}
    for status in statuses:
        ready = status.condition(ConditionType.READY)
        if ready is not None and ready.status is not ConditionStatus.TRUE:
            age = (now - datetime.fromisoformat(ready.last_transition_time)).total_seconds()
            longest[ready.reason] = max(age, longest.get(ready.reason, 0))
    return longest


def _attestation_age(status: Status, now: datetime) -> float | None:
    attestation = status.trust.attestation if status.trust else None
    if attestation is None or not attestation.groups:
        return None
    oldest = min(datetime.fromisoformat(group.verified_time) for group in attestation.groups)
    return (now - oldest).total_seconds()
