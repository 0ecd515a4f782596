"""Counts for Prometheus, in its text format; no name, no text, nothing that tells documents apart."""

from collections import Counter

from summarizer.jobs import Jobs, JobState
from summarizer.progress import Snapshot, State


def metrics_text(snapshot: Snapshot, jobs: Jobs) -> str:
    """Return the metrics."""
    results = jobs.results.values()
    verdicts = Counter(result.guarded.verdict for result in results)
    waiting = sum(view.state in (JobState.WAITING, JobState.RUNNING) for view in jobs.views())
    unreadable = len(snapshot.documents) - len(snapshot.readable)
    return "".join(
        [
            _metric("ready", "gauge", "Whether all documents are summarized.", {"": snapshot.state is State.READY}),
            _metric("documents", "gauge", "Documents that can be read.", {"": len(snapshot.readable)}),
            _metric("documents_unreadable", "gauge", "Documents that cannot be read.", {"": unreadable}),
            _metric("models_loaded", "gauge", "Models in memory.", {"": sum(bool(m.engine) for m in snapshot.models)}),
            _metric("jobs_unfinished", "gauge", "Jobs of readers that wait or run.", {"": waiting}),
            _metric(
                "summaries_total",
                "counter",
                "Summaries made, by the guard's verdict.",
                {f'{{verdict="{verdict}"}}': verdicts[verdict] for verdict in ("Passed", "Reported", "Withheld")},
            ),
            _metric(
                "summarizing_seconds_total",
                "counter",
                "Time that summaries took.",
                {"": round(sum(result.seconds for result in results), 3)},
            ),
        ]
    )


def _metric(name: str, kind: str, meaning: str, values: dict[str, float]) -> str:
    full = f"summarizer_{name}"
    lines = [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}"]
    return "\n".join([*lines, *(f"{full}{labels} {value:g}" for labels, value in values.items())]) + "\n"
