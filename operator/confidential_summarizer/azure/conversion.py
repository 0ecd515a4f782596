"""Turn the Azure libraries' errors into ours, once and for all services."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from confidential_summarizer.azure.classification import describe
from confidential_summarizer.errors import AccessDenied, SummarizerError, TransientError, quoted
from confidential_summarizer.replies import retry_after as waiting_time


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
            f"AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET. ({quoted(error.message)})"
        )
    if isinstance(error, DecodeError):
        return TransientError(f"{subject}: the service's answer is no JSON ({quoted(error.message)}).")
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        code, message = _code_and_message(error)
        return describe(subject, code, message, status=error.status_code, retry_after=_retry_after(error))
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return TransientError(
            f"{subject}: the service cannot be reached ({quoted(error.message)}). "
            "Check the host name, HTTPS_PROXY and SSL_CERT_FILE."
        )
    return TransientError(f"{subject}: {quoted(error.message)}")


def service_code(error: SummarizerError) -> str:
    """Return the service's own code behind one of our errors, with the inner one where it gave one; else empty."""
    cause = error.__cause__
    if not isinstance(cause, HttpResponseError):
        return ""
    inner = getattr(cause.error, "innererror", None) or {}
    code, _ = _code_and_message(cause)
    return " ".join(part for part in (code or str(cause.status_code), inner.get("code", "")) if part)


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
    milliseconds = headers.get("retry-after-ms", "")
    return float(milliseconds) / 1000 if milliseconds.isdigit() else waiting_time(headers.get("Retry-After"))
