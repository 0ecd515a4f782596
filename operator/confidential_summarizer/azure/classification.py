"""Which of our errors a service's code and message are; needs none of Azure's libraries."""

from confidential_summarizer.azure.faults import FAULTS
from confidential_summarizer.errors import (
    AccessDenied,
    NotFound,
    SpecError,
    SummarizerError,
    Throttled,
    TransientError,
    quoted,
)


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
    said = quoted(f"{code}: {message}" if code else message)
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
