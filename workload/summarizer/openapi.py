"""The API's description in OpenAPI 3.1, made from the same table as its routes, so that the two cannot differ."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from summarizer.bodies import Body, Error

Handler = Callable[[Request], Awaitable[Response]]
_REFERENCE: Final = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Operation:
    """One call.

    Attributes:
        method: HTTP method.
        path: With parameters in braces.
        summary: What it is for.
        handler: Answers it.
        answer: Body of a good answer; None where it is plain text.
        status: Status of a good answer.
        ask: Body of the request, if it has one.
        query: Names of query parameters, with what they mean.
        errors: Statuses of bad answers.
        open: Whether it needs no token.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answer: type[Body] | None = None
    status: int = 200
    ask: type[Body] | None = None
    query: dict[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    open: bool = False

    def route(self) -> Route:
        """Return the route."""
        return Route(self.path, self.handler, methods=[self.method])


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    table = list(operations)
    bodies = {body for one in table for body in (one.answer, one.ask, Error) if body is not None}
    inputs = [(body, "validation") for body in sorted(bodies, key=lambda body: body.__name__)]
    _, schemas = models_json_schema(inputs, ref_template=_REFERENCE)  # type: ignore[arg-type]
    paths: dict[str, Any] = {}
    for one in table:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Confidential summaries",
            "version": "1",
            "description": "Guarded summaries of sealed documents. No call gives text of a document.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(one: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in (part[1:-1] for part in one.path.split("/") if part.startswith("{"))
    ] + [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in one.query.items()
    ]
    good: dict[str, Any] = {"description": "Done."}
    if one.answer is not None:
        good["content"] = _json(one.answer)
    else:
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    statuses = one.errors if one.open else (*one.errors, 401)
    described: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.handler.__name__,
        "responses": {str(one.status): good}
        | {str(status): {"description": "See `error`.", "content": _json(Error)} for status in sorted(statuses)},
    }
    if parameters:
        described["parameters"] = parameters
    if one.ask is not None:
        described["requestBody"] = {"required": True, "content": _json(one.ask)}
    if one.open:
        described["security"] = []
    return described


def _json(body: type[Body]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=body.__name__)}}}
