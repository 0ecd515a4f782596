"""The JSON objects in which the workload tells its state and its summaries."""

from typing import Any

from summarizer.progress import DocumentSummary, Snapshot
from summarizer.settings import Settings


def status_body(snapshot: Snapshot, settings: Settings) -> dict[str, Any]:
    """Return where the workload stands, without any summary or name."""
    card = snapshot.model
    return {
        "state": snapshot.state.value,
        "reason": snapshot.reason,
        "profile": settings.profile,
        "model": None
        if card is None
        else {"name": card.name, "manifest": snapshot.model_sha256, "notice": card.notice},
        "engine": snapshot.engine or None,
        "documents": {
            "found": snapshot.documents,
            "summarized": len(snapshot.summaries),
            "skipped": snapshot.skipped,
            "unreadable": len(snapshot.unreadable),
            "version": snapshot.version,
        },
    }


def result_body(snapshot: Snapshot, done: DocumentSummary, settings: Settings) -> dict[str, Any]:
    """Return one result as its owner gets it, with the document's file name."""
    body = status_body(snapshot, settings)
    result = _summary(done, settings) | {"document": done.name, "contentVersion": snapshot.version}
    return result | {name: body[name] for name in ("model", "engine", "profile")}


def summaries_body(snapshot: Snapshot, settings: Settings) -> dict[str, Any]:
    """Return `status_body`, the guarded summaries, and which documents cannot be read."""
    return status_body(snapshot, settings) | {
        "summaries": [_summary(done, settings) for done in snapshot.summaries],
        "unreadable": [{"document": one.document, "reason": one.reason.value} for one in snapshot.unreadable],
    }


def _summary(done: DocumentSummary, settings: Settings) -> dict[str, Any]:
    return {
        "document": done.document,
        "summary": done.guarded.summary,
        "words": done.words,
        "sourceWords": done.source_words,
        "unreadParts": done.unread,
        "guard": {
            "verdict": done.guarded.verdict,
            "longestRun": done.guarded.longest_run,
            "limit": settings.guard_run,
        },
    }
