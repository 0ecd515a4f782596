"""Between a request and its stand-in: the fault that it meets, in the form of the service's errors."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from azure_sandbox.azure.errors import Handler, ServiceError
from azure_sandbox.azure.storage import refusal
from azure_sandbox.faults import ANSWERS, HTTP_SERVICES, SLOW, Fault, Faults, service_at


def meet(faults: Faults) -> Middleware:
    """Return what lets each request meet its fault, before or after it is carried out.

    The sandbox's own controls are spared.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        service = service_at(request.host)
        if service not in HTTP_SERVICES or (service == "resource-manager" and request.path.startswith("/sandbox/")):
            return await handler(request)
        fault = faults.take(service, (SLOW, *ANSWERS), request.method, request.path)
        if fault is None:
            return await handler(request)
        if fault.kind == SLOW:
            await asyncio.sleep(fault.delay)
            return await handler(request)
        if fault.kind == "answer-lost":
            await handler(request)
        return _answer(fault)

    return middleware


def _answer(fault: Fault) -> web.Response:
    status, code, text = ANSWERS[fault.kind]
    headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.kind == "throttled" else {}
    match fault.service:
        case "blobs":
            return refusal(status, code, text, headers)
        case "registry":
            body: dict[str, Any] = {"errors": [{"code": code.upper(), "message": text, "detail": None}]}
        case "login":
            text = "AADSTS90033: A transient error has occurred. Please try again."
            body = {"error": "temporarily_unavailable", "error_description": text, "error_codes": [90033]}
        case _:
            body = ServiceError(status, code, text).body
    return web.json_response(body, status=status, headers=headers)
