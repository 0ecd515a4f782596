"""What the API answers, from where the work stands: the bodies are filled here."""

from collections.abc import Iterable, Mapping
from typing import Any

from summarizer.bodies import (
    Counts,
    Document,
    Documents,
    Failure,
    GuardReport,
    Job,
    LengthWords,
    Model,
    ModelName,
    Models,
    Shard,
    Status,
    Summaries,
    Summary,
    UnreadableDocument,
    as_json,
)
from summarizer.jobs import JobView, Length, Request, Result
from summarizer.models import OfferedModel
from summarizer.progress import ListedDocument, Snapshot
from summarizer.settings import Settings
from summarizer.shard import ShardCount


def status(snapshot: Snapshot, settings: Settings, results: Mapping[Request, Result]) -> Status:
    """Return where the workload stands, without any summary or name."""
    default = snapshot.models[0] if snapshot.models else None
    first = {
        result.request.document
        for result in results.values()
        if default and result.request.model == default.name and result.request.length is Length.LONG
    }
    return Status(
        state=snapshot.state,
        reason=snapshot.reason,
        profile=settings.profile,
        model=default and _model_name(default),
        engine=(default and default.engine) or None,
        documents=Counts(
            found=len(snapshot.readable),
            summarized=len(first),
            skipped=snapshot.skipped,
            unreadable=len(snapshot.documents) - len(snapshot.readable),
            versions=dict(snapshot.versions),
        ),
        shard=snapshot.shard and _shard(snapshot.shard),
    )


def result_body(
    snapshot: Snapshot, listed: ListedDocument, result: Result, name: str, settings: Settings
) -> dict[str, Any]:
    """Return one result as its owner gets it, with the document's file name."""
    model = snapshot.models[0]
    version = snapshot.versions.get(listed.file_system)
    kept = as_json(_summary(result, listed, settings)) | {"document": name, "contentVersion": version}
    return kept | {"model": as_json(_model_name(model)), "engine": model.engine or None, "profile": settings.profile}


def summaries(snapshot: Snapshot, settings: Settings, results: Mapping[Request, Result]) -> Summaries:
    """Return where the workload stands, the guarded summaries, and which documents cannot be read."""
    return Summaries(
        **dict(status(snapshot, settings, results)),
        summaries=summary_list(snapshot, settings, results.values()),
        unreadable=[
            UnreadableDocument(
                number=one.number, document=one.label, file_system=one.file_system, reason=one.reason.value
            )
            for one in snapshot.documents
            if one.reason is not None
        ],
    )


def summary_list(snapshot: Snapshot, settings: Settings, results: Iterable[Result]) -> list[Summary]:
    """Return summaries in the order of documents, models as offered, and lengths."""
    documents = {document.number: document for document in snapshot.documents}
    models = [model.name for model in snapshot.models]
    lengths = list(Length)

    def place(result: Result) -> tuple[int, int, int]:
        request = result.request
        return request.document, models.index(request.model), lengths.index(request.length)

    return [_summary(result, documents[result.request.document], settings) for result in sorted(results, key=place)]


def documents(snapshot: Snapshot) -> Documents:
    """Return the documents."""
    return Documents(
        documents=[
            Document(
                number=one.number,
                document=one.label,
                file_system=one.file_system,
                kind=one.kind,
                words=one.words,
                unread_parts=one.unread,
                reason=one.reason and one.reason.value,
            )
            for one in snapshot.documents
        ]
    )


def models(snapshot: Snapshot, settings: Settings) -> Models:
    """Return what can be asked for."""
    return Models(
        models=[_model(model, model is snapshot.models[0]) for model in snapshot.models],
        lengths=[LengthWords(name=length, words=length.words(settings.max_words)) for length in Length],
    )


def job(view: JobView) -> Job:
    """Return a job."""
    return Job(
        id=view.id,
        state=view.state,
        summaries=len(view.requests),
        done=view.done,
        failed=[
            Failure(number=request.document, model=request.model, length=request.length, reason=reason)
            for request, reason in view.failed.items()
        ],
        created=view.created,
    )


def _summary(result: Result, document: ListedDocument, settings: Settings) -> Summary:
    return Summary(
        number=document.number,
        document=document.label,
        file_system=document.file_system,
        model=result.request.model,
        length=result.request.length,
        summary=result.guarded.summary,
        words=result.words,
        source_words=document.words,
        unread_parts=document.unread,
        seconds=round(result.seconds, 3),
        finished=result.finished,
        guard=GuardReport(
            verdict=result.guarded.verdict, longest_run=result.guarded.longest_run, limit=settings.guard_run
        ),
    )


def _model_name(model: OfferedModel) -> ModelName:
    return ModelName(name=model.card.name, manifest=model.sha256, notice=model.card.notice)


def _shard(count: ShardCount) -> Shard:
    return Shard(
        index=count.shard.index,
        shards=count.shard.count,
        total=count.total,
        documents=count.documents,
        done=count.before + count.written,
        refused=count.refused,
        failed=count.failed,
        per_minute=round(60 * count.written / count.seconds, 1) if count.seconds else 0.0,
    )


def _model(model: OfferedModel, default: bool) -> Model:
    return Model(
        name=model.name,
        title=model.card.name,
        notice=model.card.notice,
        facts=dict(model.card.facts),
        manifest=model.sha256,
        loaded=bool(model.engine),
        default=default,
    )
