"""The page's JSON API, and the probes. `operations` is the list of calls; `/api/openapi.json` describes them."""

import json
from collections.abc import Callable
from typing import Final

import anyio
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from summarizer import answers, bodies
from summarizer.asking import ask
from summarizer.context import Context
from summarizer.errors import Busy, EvidenceError, NotOffered, NotYours, UnknownJob, WorkloadError
from summarizer.evidence import nonce_is_valid
from summarizer.export import FORMATS, export
from summarizer.jobs import JobState, JobView, Length, Result
from summarizer.metrics import metrics_text
from summarizer.openapi import Operation, describe
from summarizer.progress import Snapshot, State

# Far above a list of all documents.
_MAX_BODY: Final = 64 * 1024
# Proxies end connections after a minute of silence; who waits longer asks for the job.
_LONGEST_WAIT: Final = 50.0
# Short beside what a summary takes.
_POLL_SECONDS: Final = 0.1
_STATUS_OF: Final = {NotYours: 403, NotOffered: 404, UnknownJob: 404, Busy: 429}


def routes(context: Context) -> list[BaseRoute]:
    """Return the routes of the API and the probes."""
    table = operations(context)
    document = describe(table)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    return [*(operation.route() for operation in table), Route("/api/openapi.json", openapi)]


def operations(context: Context) -> list[Operation]:
    """Return the calls."""
    settings, progress, jobs, desk = context.settings, context.progress, context.jobs, context.desk

    def answered(view: JobView) -> bodies.Answered:
        asked = set(view.requests)
        found = [result for request, result in jobs.results.items() if request in asked]
        return bodies.Answered(
            job=answers.job(view), summaries=answers.summary_list(progress.snapshot, settings, found)
        )

    async def list_documents(_: Request) -> Response:
        return _body(answers.documents(progress.snapshot))

    async def list_models(_: Request) -> Response:
        return _body(answers.models(progress.snapshot, settings))

    async def list_summaries(request: Request) -> Response:
        try:
            kept = _selection(request, progress.snapshot)
        except ValueError:
            return _error(400, "document is a number, length is short, medium or long")
        results = {key: result for key, result in jobs.results.items() if kept(result)}
        wanted = request.query_params.get("format", "json")
        body = answers.summaries(progress.snapshot, settings, jobs.results).model_copy(
            update={"summaries": answers.summary_list(progress.snapshot, settings, results.values())}
        )
        if wanted == "json":
            return _body(body)
        if wanted not in FORMATS:
            return _error(400, f"format is one of {', '.join(FORMATS)}")
        file = export(wanted, body.summaries)
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(file.data, media_type=file.media_type, headers=headers)

    async def submit_job(request: Request) -> Response:
        view = await _ask(request, context)
        return view if isinstance(view, Response) else _body(answers.job(view), 202)

    async def list_jobs(_: Request) -> Response:
        return _body(bodies.JobList(jobs=[answers.job(view) for view in jobs.views()]))

    async def show_job(request: Request) -> Response:
        return _try(lambda: answered(jobs.view(request.path_params["id"])))

    async def cancel_job(request: Request) -> Response:
        return _try(lambda: answered(jobs.cancel(_reader(request), request.path_params["id"])))

    async def summarize(request: Request) -> Response:
        view = await _ask(request, context)
        if isinstance(view, Response):
            return view
        with anyio.move_on_after(_LONGEST_WAIT):
            while view.state in (JobState.WAITING, JobState.RUNNING):
                await anyio.sleep(_POLL_SECONDS)
                if await request.is_disconnected():
                    jobs.cancel(view.owner, view.id)
                view = jobs.view(view.id)
        return _body(answered(view), 200 if view.state is JobState.FINISHED else 202)

    async def show_status(_: Request) -> Response:
        return _body(answers.status(progress.snapshot, settings, jobs.results))

    async def show_evidence(request: Request) -> Response:
        nonce = request.query_params.get("nonce", "")
        if not nonce_is_valid(nonce):
            return _error(400, "nonce must be 16 to 64 random bytes in base64url without padding")
        if desk is None:
            return _error(404, "there is no evidence: no confidential guest, or SUMMARIZER_MAA is not set")
        try:
            given = await anyio.to_thread.run_sync(desk.evidence, nonce)
        except Busy as error:
            return _error(429, str(error))
        except EvidenceError as error:
            return _error(502, str(error))
        return _body(bodies.Evidence(**given.document()))

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        state = progress.snapshot.state
        # A shard has nothing to show at its end: it is as it should be while it works.
        ready = state is State.READY or (settings.shards is not None and state is State.SUMMARIZING)
        return JSONResponse({"state": state.value}, status_code=200 if ready else 503)

    async def show_metrics(_: Request) -> Response:
        return PlainTextResponse(metrics_text(progress.snapshot, jobs))

    selection = {
        "document": "Number of one document.",
        "fileSystem": "Name of one file system.",
        "model": "Name of one model.",
        "length": "short, medium or long.",
        "format": f"json, or a file to keep: {', '.join(FORMATS)}.",
    }
    return [
        Operation("GET", "/api/documents", "The documents", list_documents, bodies.Documents),
        Operation("GET", "/api/models", "What can be asked for", list_models, bodies.Models),
        Operation(
            "GET",
            "/api/summaries",
            "The summaries that were made so far",
            list_summaries,
            bodies.Summaries,
            query=selection,
            errors=(400,),
        ),
        Operation(
            "POST",
            "/api/summarize",
            "Ask for summaries and wait for them, up to 50 seconds",
            summarize,
            bodies.Answered,
            ask=bodies.Ask,
            errors=(400, 404, 413, 429),
        ),
        Operation(
            "POST",
            "/api/jobs",
            "Ask for summaries without waiting",
            submit_job,
            bodies.Job,
            status=202,
            ask=bodies.Ask,
            errors=(400, 404, 413, 429),
        ),
        Operation("GET", "/api/jobs", "The jobs of readers, the newest first", list_jobs, bodies.JobList),
        Operation("GET", "/api/jobs/{id}", "A job and its summaries so far", show_job, bodies.Answered, errors=(404,)),
        Operation(
            "DELETE",
            "/api/jobs/{id}",
            "Cancel a job of one's own; summaries stay",
            cancel_job,
            bodies.Answered,
            errors=(403, 404),
        ),
        Operation("GET", "/api/status", "Where the summarizer stands", show_status, bodies.Status, open=True),
        Operation(
            "GET",
            "/api/evidence",
            "A fresh attestation token over the caller's nonce and the key of this TLS channel",
            show_evidence,
            bodies.Evidence,
            query={"nonce": "16 to 64 random bytes in base64url without padding."},
            errors=(400, 404, 429, 502),
            open=True,
        ),
        Operation("GET", "/healthz", "200 as long as the process serves", healthz, bodies.Health, open=True),
        Operation("GET", "/readyz", "200 once it is ready", readyz, bodies.Readiness, errors=(503,), open=True),
        Operation("GET", "/metrics", "Counts for Prometheus", show_metrics, open=True),
    ]


async def _ask(request: Request, context: Context) -> JobView | Response:
    """Take a request's body, and put it into the queue of the peer's address."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # Pages of other sites cannot send this type without asking first.
        return _error(400, "send a JSON object, with Content-Type: application/json")
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _MAX_BODY:
            return _error(413, "the request is larger than 64 KiB")
    try:
        wanted = bodies.Ask.model_validate(json.loads(data))
    except ValidationError as error:
        problem = error.errors()[0]
        return _error(400, f"{'.'.join(map(str, problem['loc'][:1])) or 'the body'}: {problem['msg']}")
    except (ValueError, RecursionError):
        return _error(400, "the body is no JSON object")
    owner = _reader(request)
    try:
        return ask(
            context.progress, context.jobs, owner, wanted.documents, wanted.models, wanted.length, wanted.file_system
        )
    except (NotOffered, Busy) as error:
        return _refusal(error)


def _reader(request: Request) -> str:
    """Return who asks, as far as the summarizer can tell readers apart: they share one token."""
    return request.client.host if request.client else "unknown"


def _selection(request: Request, snapshot: Snapshot) -> Callable[[Result], bool]:
    query = request.query_params
    number = int(query["document"]) if "document" in query else None
    length = Length(query["length"]) if "length" in query else None
    model = query.get("model")
    name = query.get("fileSystem")
    inside = {document.number for document in snapshot.documents if name in (None, document.file_system)}

    def kept(result: Result) -> bool:
        one = result.request
        chosen = one.document in inside and number in (None, one.document)
        return chosen and model in (None, one.model) and length in (None, one.length)

    return kept


def _try(make: Callable[[], bodies.Body]) -> Response:
    try:
        return _body(make())
    except (NotYours, UnknownJob) as error:
        return _refusal(error)


def _body(body: bodies.Body, status: int = 200) -> Response:
    return JSONResponse(bodies.as_json(body), status_code=status)


def _refusal(error: WorkloadError) -> Response:
    return _error(_STATUS_OF[type(error)], str(error))


def _error(status: int, message: str) -> Response:
    headers = {"Retry-After": "60"} if status == 429 else None
    return JSONResponse({"error": message}, status_code=status, headers=headers)
