"""Turn the Azure libraries' errors into ours, once and for all services."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from confidential_summarizer.azure.faults import FAULTS
from confidential_summarizer.errors import (
    AccessDenied,
    NotFound,
    SpecError,
    SummarizerError,
    Throttled,
    TransientError,
)

_MESSAGE_LIMIT = 600
"""Characters kept of a service's message: enough for its first sentences, too few for an echoed document."""


@contextmanager
def converted(subject: str) -> Iterator[None]:
    """Raise our error for any Azure error inside the block.

    Args:
        subject: What was being done to what: `Key contracts-key in party2.vault.azure.net`.

    Raises:
        SummarizerError: One of its leaves, with the service's code and message and the next step.
    """
    try:
        yield
    except AzureError as error:
        raise convert(error, subject) from error


def convert(error: AzureError, subject: str) -> SummarizerError:
    """Return our error for one of the libraries' errors."""
    if isinstance(error, ClientAuthenticationError) and error.status_code not in (401, 403):
        return AccessDenied(
            f"{subject}: no credential could be had. Sign in (az login), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
            f"AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET. ({_shortened(error.message)})"
        )
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        code, message = _code_and_message(error)
        return describe(subject, code, message, status=error.status_code, retry_after=_retry_after(error))
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return TransientError(
            f"{subject}: the service cannot be reached ({_shortened(error.message)}). "
            "Check the host name, HTTPS_PROXY and SSL_CERT_FILE."
        )
    return TransientError(f"{subject}: {_shortened(error.message)}")


def describe(
    subject: str, code: str, message: str, *, status: int, retry_after: float | None = None
) -> SummarizerError:
    """Return our error for a service's code and message.

    Args:
        subject: What was being done to what.
        code: The service's error code, empty where it gave none.
        message: The service's text.
        status: HTTP status, or 200 for an operation that failed after it was accepted.
        retry_after: The service's waiting time in seconds.
    """
    said = _shortened(f"{code}: {message}" if code else message)
    for fault in FAULTS:
        if fault.pattern.search(f"{code}: {message}"):
            text = f"{subject}: {fault.remedy} (Azure: {said})"
            if issubclass(fault.error, TransientError):
                return fault.error(text, retry_after=retry_after or fault.retry_after)
            return fault.error(text)
    return _by_status(f"{subject}: Azure answered {status} ({said})", status, retry_after)


def _by_status(text: str, status: int, retry_after: float | None) -> SummarizerError:
    if status == 429:
        return Throttled(f"{text}. Calls are slowed down.", retry_after=retry_after)
    if status in (401, 403):
        return AccessDenied(f"{text}. Check the identity's roles and the tenant.")
    if status == 404:
        return NotFound(f"{text}. Check the name, or wait until it exists.")
    if status in (408, 409, 412) or status >= 500:
        return TransientError(f"{text}. Its state is read again before the next try.", retry_after=retry_after)
    return SpecError(f"{text}. Correct the request; the same one is refused again.")


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    if error.error is not None:
        parts = [error.error.message or ""]
        _collect_details(error.error, parts)
        return str(error.error.code or ""), " ".join(part for part in parts if part)
    return error_code(error), error.message.partition("\n")[0]


def error_code(error: HttpResponseError) -> str:
    """Return the service's error code, which the blob client keeps apart from the others; empty where there is none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _collect_details(fault: object, parts: list[str]) -> None:
    """Walk the nested details: a deployment wraps the text that matters two levels deep."""
    for detail in getattr(fault, "details", None) or ():
        parts.append(f"{getattr(detail, 'code', '')}: {getattr(detail, 'message', '')}")
        _collect_details(detail, parts)
    inner = getattr(fault, "innererror", None)
    if isinstance(inner, dict) and "code" in inner:
        parts.append(str(inner["code"]))


def _retry_after(error: HttpResponseError) -> float | None:
    headers = getattr(error.response, "headers", None) or {}
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else f"{line[:_MESSAGE_LIMIT]}…"
