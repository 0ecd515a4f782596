"""The page's JSON API, and the probes.

| call | answer |
|---|---|
| GET /api/summaries | state, model, engine and the guarded summaries |
| GET /api/status | the same without any summary |
| GET /api/evidence?nonce=… | a fresh attestation token over the caller's nonce and the key of this TLS channel |
| GET /healthz | 200 as long as the process serves |
| GET /readyz | 200 once all documents are summarized, 503 before |
"""

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from summarizer.answers import status_body, summaries_body
from summarizer.errors import Busy, EvidenceError
from summarizer.evidence import EvidenceDesk, nonce_is_valid
from summarizer.progress import Progress, State
from summarizer.settings import Settings


def routes(settings: Settings, progress: Progress, desk: EvidenceDesk | None) -> list[BaseRoute]:
    """Return the routes of the API and the probes."""

    async def summaries(_: Request) -> Response:
        return JSONResponse(summaries_body(progress.snapshot, settings))

    async def status(_: Request) -> Response:
        return JSONResponse(status_body(progress.snapshot, settings))

    async def evidence(request: Request) -> Response:
        nonce = request.query_params.get("nonce", "")
        if not nonce_is_valid(nonce):
            return _error(400, "nonce must be 16 to 64 random bytes in base64url without padding")
        if desk is None:
            return _error(404, "this group has no attestation service: set SUMMARIZER_MAA")
        try:
            given = await anyio.to_thread.run_sync(desk.evidence, nonce)
        except Busy as error:
            return _error(429, str(error))
        except EvidenceError as error:
            return _error(502, str(error))
        return JSONResponse(given.document())

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        state = progress.snapshot.state
        return JSONResponse({"state": state.value}, status_code=200 if state is State.READY else 503)

    return [
        Route("/api/summaries", summaries),
        Route("/api/status", status),
        Route("/api/evidence", evidence),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
