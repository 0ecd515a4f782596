"""What Prometheus is told, and what it never is: the name of a resource."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY, generate_latest

from confidential_summarizer import metrics
from confidential_summarizer.api.status import Status
from confidential_summarizer.azure.transport import service_of
from confidential_summarizer.reconcile.loops import Loop
from confidential_summarizer.reconcile.run import Result, Visit


def status(ready: str, reason: str, verified: str | None = None, since: timedelta = timedelta()) -> Status:
    turned = (datetime.now(UTC) - since).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "", "observedGeneration": 1}
    group = {"name": "g", "identity": "g", "hostData": "ab", "verifiedTime": verified}
    attestation = {"authority": "a", "verifiedTime": verified, "groups": [group]}
    return Status.model_validate(
        {
            "conditions": [{**condition, "lastTransitionTime": turned}],
            "trust": {"attestation": attestation} if verified else None,
        }
    )


def test_resources_are_counted_by_what_they_wait_for() -> None:
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    loops = [
        Loop(visit=Visit(Result.DONE, status=status("True", "Ready", hour_ago))),
        Loop(visit=Visit(Result.WAITING, status=status("False", "AwaitingApproval"))),
        Loop(visit=Visit(Result.WAITING, status=status("False", "AwaitingApproval"))),
        Loop(
            visit=Visit(
                Result.REMOVING,
                status=status("False", "Deleting", "2026-01-01T00:00:00Z"),
                deleting_since=datetime.now(UTC) - timedelta(minutes=5),
            )
        ),
        Loop(),
    ]
    with metrics.Fleet(loops):
        value = REGISTRY.get_sample_value
        assert value("csum_resources", {"ready": "False", "reason": "AwaitingApproval"}) == 2
        assert value("csum_resources", {"ready": "True", "reason": "Ready"}) == 1
        assert 3600 <= (value("csum_attestation_age_seconds") or 0) < 3700
        assert 300 <= (value("csum_deletion_age_seconds") or 0) < 400
        text = generate_latest().decode()
    assert "namespace" not in text
    assert "csum_resources" not in generate_latest().decode()


def test_of_each_reason_the_longest_time_without_ready_is_told() -> None:
    loops = [
        Loop(visit=Visit(Result.WAITING, status=status("False", "AwaitingApproval", since=timedelta(hours=1)))),
        Loop(visit=Visit(Result.WAITING, status=status("False", "AwaitingApproval", since=timedelta(hours=3)))),
        Loop(visit=Visit(Result.PAUSED, status=status("Unknown", "Paused", since=timedelta(hours=2)))),
        Loop(visit=Visit(Result.DONE, status=status("True", "Ready", since=timedelta(hours=9)))),
    ]
    with metrics.Fleet(loops):
        value = REGISTRY.get_sample_value
        assert (value("csum_not_ready_age_seconds", {"reason": "AwaitingApproval"}) or 0) // 3600 == 3
        assert (value("csum_not_ready_age_seconds", {"reason": "Paused"}) or 0) // 3600 == 2
        assert value("csum_not_ready_age_seconds", {"reason": "Ready"}) is None


def test_a_look_is_counted_by_what_came_of_it() -> None:
    def seen(result: str) -> float:
        return REGISTRY.get_sample_value("csum_reconcile_total", {"result": result}) or 0

    before = seen("stalled"), seen("error")
    metrics.finished(Visit(Result.STALLED), 0.1)
    metrics.finished(None, 0.1)
    assert (seen("stalled"), seen("error")) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("party2.managedhsm.azure.net", "managed hsm"),
        ("party2.vault.azure.net", "key vault"),
        ("management.azure.com", "resource manager"),
        ("management.usgovcloudapi.net", "resource manager"),
        ("login.microsoftonline.com", "entra"),
        ("party2.blob.core.windows.net", "blob storage"),
        ("vaultofparty2.blob.core.windows.net", "blob storage"),
        ("example.org", "other"),
    ],
)
def test_the_label_of_a_service_holds_no_name_of_a_customer(host: str, service: str) -> None:
    assert service_of(host) == service


@pytest.mark.parametrize(
    ("code", "name"),
    [(200, "ok"), (202, "ok"), (429, "throttled"), (403, "denied"), (404, "not_found"), (503, "failed"), (None, "unreachable"), (400, "refused")],
)  # fmt: skip
def test_answers_have_the_classes_that_alerts_ask_for(code: int | None, name: str) -> None:
    assert metrics.answer_class(code) == name
