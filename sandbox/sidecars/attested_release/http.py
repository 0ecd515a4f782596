"""HTTP requests to the services: the system's trusted roots, the environment's proxy, bounded answers."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attested_release.errors import ReleaseError, Unreachable

TIMEOUT_SECONDS = 60.0
"""For one request; an attestation under load takes seconds."""

MAX_ANSWER = 1 << 20
"""Longest answer that is read, in bytes; the real sidecars cut there, too."""

SUCCESS = range(200, 208)
"""What the sidecars take for success."""

BUSY = frozenset({408, 429, *range(500, 600)})
"""Statuses of a service that may answer better later."""

SHOWN = 300
"""How much of a service's own explanation an error message quotes."""


@dataclass(frozen=True)
class Answer:
    """A service's answer to a request that it granted."""

    headers: Mapping[str, str]
    body: bytes

    def json(self, subject: str) -> dict[str, Any]:
        """Return the body's JSON object.

        Raises:
            ReleaseError: The body is something else.
        """
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ReleaseError(f"{subject} answered no JSON object")
        return document


class Refused(ReleaseError):
    """A service answered with an error; `status` and its own `explanation` say which."""

    def __init__(self, subject: str, status: int, explanation: str) -> None:
        super().__init__(f"{subject} answered {status}: {explanation}")
        self.status = status
        self.explanation = explanation


def request(
    subject: str,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    document: Mapping[str, Any] | None = None,
    limit: int = MAX_ANSWER,
) -> Answer:
    """Send one request.

    Args:
        subject: Who is asked, for messages.
        method: HTTP method.
        url: Where.
        headers: Added to the usual ones.
        document: Sent as JSON.
        limit: Longest answer that is read, in bytes.

    Raises:
        Refused: The service said no.
        Unreachable: There was no answer, or one that asks for patience.
    """
    body = None if document is None else json.dumps(document).encode()
    content = {} if body is None else {"Content-Type": "application/json"}
    prepared = urllib.request.Request(url, body, {**content, **(headers or {})}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(prepared, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            if response.status not in SUCCESS:
                raise Refused(subject, response.status, response.reason)
            return Answer(response.headers, response.read(limit))
    except urllib.error.HTTPError as error:
        with error:
            refusal = Refused(subject, error.code, _explanation(error.read(MAX_ANSWER)) or str(error.reason))
        if error.code in BUSY:
            raise Unreachable(str(refusal)) from None
        raise refusal from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{subject} cannot be reached: {reason}") from None


def _explanation(body: bytes) -> str:
    """The service's own words: `error.message` of Azure's error bodies, or the first line of something else."""
    try:
        error = json.loads(body)["error"]
        text = error["message"] if isinstance(error, dict) else json.loads(body).get("error_description", error)
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:SHOWN]
