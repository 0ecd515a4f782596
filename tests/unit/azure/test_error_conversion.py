import json
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from confidential_summarizer.azure.classification import describe
from confidential_summarizer.azure.conversion import convert, converted
from confidential_summarizer.errors import (
    AccessDenied,
    CapacityUnavailable,
    ImageError,
    KeyDeleted,
    NotFound,
    QuotaExceeded,
    ReleasePolicyError,
    SpecError,
    SummarizerError,
    Throttled,
    TransientError,
    WaitingError,
)
from confidential_summarizer.targets.container_group.state import events, failure


class Response:
    """As much of an HTTP response as the SDK's errors read."""

    reason = "reason"

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str], details: list[Any]) -> None:
        self.status_code = status
        self.headers = headers
        self._body = json.dumps({"error": {"code": code, "message": message, "details": details}})

    def text(self, encoding: str | None = None) -> str:
        return self._body


def error(
    status: int, code: str, message: str = "", details: list[Any] | None = None, **headers: str
) -> HttpResponseError:
    return HttpResponseError(response=Response(status, code, message, headers, details or []))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (1001, SpecError, "Premium"),
        (1003, SpecError, "another name"),
        (1004, ReleasePolicyError, "needs a release policy"),
        (1005, ReleasePolicyError, "not exportable"),
        (1006, SpecError, "RSA-HSM"),
        (1014, SpecError, "another name"),
        (1016, ReleasePolicyError, "without a version"),
        (1020, ReleasePolicyError, "immutable"),
    ],
)
def test_every_key_release_code_is_explained(number: int, kind: type[SummarizerError], remedy: str) -> None:
    found = convert(error(400, "BadParameter", f"AKV.SKR.{number}: the service's words"), "Key k in v")

    assert type(found) is kind
    assert str(found).startswith("Key k in v: ")
    assert remedy in str(found)
    assert f"AKV.SKR.{number}" in str(found)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (409, "Conflict", "Key k is currently in a deleted but recoverable state", KeyDeleted),
        (409, "Conflict", "Key is currently being deleted.", TransientError),
        (400, "BadParameter", "Property 'k' of oct key is too large, maximum size is 64", SpecError),
        (400, "KeyTypeNotSupported", "Invalid kty value: oct", SpecError),
        (403, "Forbidden", "Operation purge is not allowed: purge protection is enabled", WaitingError),
        (409, "BlobImmutableDueToPolicy", "This operation is not permitted as the blob is immutable.", WaitingError),
        (409, "BlobImmutableDueToLegalHold", "This operation is not permitted as the blob is immutable.", WaitingError),
        (403, "Forbidden", "Caller is not authorized to perform action on resource.", AccessDenied),
        (401, "Unauthorized", "AKV10000: Request is missing a Bearer token.", AccessDenied),
        (404, "KeyNotFound", "A key with (name/id) k was not found in this key vault.", NotFound),
        (400, "InvalidCcePolicy", "CCE Policy cannot be left empty", SpecError),
        (400, "InaccessibleImage", "The image 'x' in container group 'y' is not accessible.", ImageError),
        (409, "RegistryErrorResponse", "An error response is received from the docker registry", TransientError),
        (429, "ContainerGroupQuotaReached", "container group quota 'StandardCores' exceeded", QuotaExceeded),
        (409, "ServiceUnavailable", "The resource is not available in the location 'x'", CapacityUnavailable),
        (503, "ServerTimeout", "", TransientError),
        (409, "ContainerGroupTransitioning", "still transitioning", TransientError),
        (404, "ResourceGroupNotFound", "Resource group 'r' could not be found.", NotFound),
        (403, "AuthorizationFailed", "The client 'x' does not have authorization", AccessDenied),
        (403, "LinkedAuthorizationFailed", "", AccessDenied),
        (403, "RequestDisallowedByPolicy", "Resource 'g' was disallowed by policy.", WaitingError),
        (409, "ScopeLocked", "cannot perform delete operation because following scope(s) are locked", WaitingError),
        (409, "ReadOnlyDisabledSubscription", "is disabled and therefore marked as read only.", WaitingError),
        (409, "MissingSubscriptionRegistration", "", WaitingError),
        (429, "TooManyRequests", "", Throttled),
        (429, "", "", Throttled),
        (404, "ContainerNotFound", "The specified container does not exist.", NotFound),
        (409, "InvalidBlobType", "", SpecError),
        (403, "AuthorizationPermissionMismatch", "", AccessDenied),
        (403, "AuthenticationFailed", "Server failed to authenticate the request.", AccessDenied),
        (412, "ConditionNotMet", "", TransientError),
        (500, "InternalServerError", "", TransientError),
        (400, "Something", "new", SpecError),
    ],
)  # fmt: skip
def test_azures_codes_become_the_error_that_says_what_a_retry_is_worth(
    status: int, code: str, message: str, kind: type[SummarizerError]
) -> None:
    found = convert(error(status, code, message), "Subject")

    assert type(found) is kind
    assert code in str(found)


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("Retry-After", "17", 17),
        ("retry-after-ms", "1500", 1.5),
        ("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Retry-After", "soon", None),
        ("Retry-After", "²", None),
        ("Retry-After", f"Thu, 01 Jan 1970 00:00:00 +{'9' * 20}", None),
        ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Retry-After", "9" * 400, 3600),
    ],
)
def test_the_services_waiting_time_is_kept_in_each_form_that_it_has(
    header: str, value: str, seconds: float | None
) -> None:
    found = convert(error(429, "Unheard", **{header: value}), "Subject")

    assert isinstance(found, Throttled)
    assert found.retry_after == seconds


def test_the_reason_is_found_in_nested_details() -> None:
    nested = [
        {"code": "Conflict", "message": "", "details": [{"code": "X", "message": "quota 'StandardCores' exceeded"}]}
    ]

    assert isinstance(convert(error(409, "Conflict", "failed", nested), "Subject"), QuotaExceeded)


def test_a_missing_credential_says_how_to_sign_in() -> None:
    found = convert(ClientAuthenticationError("none of eight worked"), "Key k in v")

    assert isinstance(found, AccessDenied)
    assert "az login" in str(found)


def test_an_unreachable_service_points_to_proxy_and_certificates() -> None:
    found = convert(ServiceRequestError("connection refused"), "Key k in v")

    assert type(found) is TransientError
    assert "HTTPS_PROXY" in str(found)


def test_an_endless_message_is_cut() -> None:
    assert len(str(describe("S", "C", "x" * 10_000, status=400))) < 900


def test_only_azures_errors_are_converted() -> None:
    with pytest.raises(KeyError), converted("Subject"):
        raise KeyError
    with pytest.raises(SpecError), converted("Subject"):
        raise error(400, "X")


def group(state: str, *messages: str) -> dict[str, Any]:
    return {
        "name": "g",
        "properties": {
            "provisioningState": state,
            "instanceView": {"events": [{"type": "Normal", "name": "Pulled", "message": "fine"}]},
            "containers": [
                {"properties": {"instanceView": {"events": [{"type": "Warning", "name": "Failed", "message": m}]}}}
                for m in messages
            ],
        },
    }


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The requested resource is not available in the location 'westeurope' at this moment.", CapacityUnavailable),
        ('Failed to pull image "x"', ImageError),
        ("something new", TransientError),
    ],
)
def test_a_group_that_failed_later_is_classified_by_its_events(message: str, kind: type[SummarizerError]) -> None:
    assert type(failure(group("Failed", message))) is kind


def test_a_group_that_has_not_failed_has_no_failure() -> None:
    assert failure(group("Creating", "Back-off")) is None


def test_warnings_come_first_among_the_events() -> None:
    assert [event["name"] for event in events(group("Failed", "m"))] == ["Failed", "Pulled"]
