"""The error answer that Resource Manager, Key Vault and Attestation have in common."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class ServiceError(Exception):
    """An answer `{"error": {"code", "message"}}`.

    Args:
        status: HTTP status.
        code: The service's code, which clients key on.
        message: The service's text.
        inner: Code of `innererror`, where the service has one.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


@web.middleware
async def service_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a `ServiceError` and an unknown route into the services' error body."""
    try:
        return await handler(request)
    except ServiceError as error:
        log.info("%s %s%s -> %d %s", request.method, request.host, request.path, error.status, error)
        return web.json_response(error.body, status=error.status, headers=error.headers)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        text = f"{request.method} {request.path} is not an operation of the sandbox's {request.host}."
        return web.json_response(ServiceError(error.status, "NotFound", text).body, status=error.status)


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the request's body, which has to be a JSON object.

    Raises:
        ServiceError: 400 BadParameter.
    """
    try:
        body = await request.json()
    except ValueError as error:
        raise ServiceError(400, "BadParameter", "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ServiceError(400, "BadParameter", "The request body is not a JSON object.")
    return body
