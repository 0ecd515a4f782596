"""Who answers in a group's place, and who names in the next namespace what is this one's."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from azure_sandbox.azure.tokens import SigningKey
from azure_sandbox.names import VAULT
from tests.e2e.conftest import Cluster
from tests.support.tls import Handler, serving, unverified_tls

pytestmark = pytest.mark.e2e

HOUR = 3600


def evidence_of(url: str, nonce: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{url}/api/evidence?nonce={nonce}", context=unverified_tls(), timeout=60) as answer:
        found: dict[str, str] = json.load(answer)
    return found


def an_hour_old(cluster: Cluster, url: str, nonce: str) -> dict[str, str]:
    """What the group and its attestation service said nine hours ago: their tokens hold for eight."""
    evidence = evidence_of(url, nonce)
    claims = jwt.decode(evidence["token"], options={"verify_signature": False})
    then = {name: claims[name] - 9 * HOUR for name in ("iat", "nbf", "exp")}
    assert then["exp"] <= time.time() - HOUR + 60
    key = SigningKey(cluster.home / "azure" / "attestation.pem")
    return evidence | {"token": jwt.encode(claims | then, key.private, "RS256", headers={"kid": key.id})}


def relayed(_cluster: Cluster, url: str, nonce: str) -> dict[str, str]:
    return evidence_of(url, nonce)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param(relayed, "Channel: TLS ends at key", id="channel"),
        pytest.param(an_hour_old, "Valid now: from ", id="times"),
    ],
)
def test_a_page_in_the_groups_place_gets_nothing_and_is_told_apart_by_its(
    cluster: Cluster, said: Callable[[Cluster, str, str], dict[str, str]], cause: str
) -> None:
    status = cluster.get("csum", "contracts")["status"]
    asked: list[str] = []

    class Page(Handler):
        def get(self) -> None:
            asked.append(self.path)
            nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
            self.reply(200, said(cluster, status["endpoint"], nonce))

    with serving(Page) as page:
        refused = cluster.demo.reader(page.url, status["trust"]["hostData"])

    assert (refused.returncode, refused.stdout) == (1, "")
    assert cause in refused.stderr
    assert [path for path in asked if not path.startswith("/api/evidence?nonce=")] == []


def test_the_evidence_of_a_group_with_another_policy_is_told_by_its_host_data(cluster: Cluster) -> None:
    status = cluster.get("csum", "contracts")["status"]

    refused = cluster.demo.reader(status["endpoint"], "ab" * 32)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"Host-data: {status['trust']['hostData']}, expected {'ab' * 32}" in refused.stderr


def test_a_neighbours_resource_that_names_all_of_this_one_ends_in_a_condition_and_changes_nothing(
    cluster: Cluster,
) -> None:
    def policy_of(key: str) -> Any:
        shown = cluster.demo.owner("csum", "key", "show", key, "--vault", VAULT, "-o", "json", capture=True)
        return json.loads(shown.stdout)

    before = [policy_of(key) for key in ("contracts-key", "models-key")]
    groups = len(cluster.groups())
    document = cluster.resource("contracts")
    document["metadata"]["namespace"] = "neighbour"
    cluster.kubectl("create", "namespace", "neighbour")
    try:
        cluster.kubectl("--namespace", "neighbour", "apply", "-f", "-", stdin=json.dumps(document))
        found = cluster.wait_for("the neighbour's condition", lambda: not_granted(cluster))

        assert found["status"] == "False"
        for named in ("key contracts-key of vault", "key models-key of vault", "identity /subscriptions/", "blob host"):
            assert named in found["message"]
        assert cluster.condition("Ready")["status"] == "True"
        assert [policy_of(key) for key in ("contracts-key", "models-key")] == before
        assert len(cluster.groups()) == groups
    finally:
        cluster.kubectl("delete", "namespace", "neighbour", "--timeout=120s")


def not_granted(cluster: Cluster) -> dict[str, Any] | None:
    status = json.loads(cluster.kubectl("--namespace", "neighbour", "get", "csum", "contracts", "-o", "json"))
    conditions = status.get("status", {}).get("conditions", [])
    return next((one for one in conditions if (one["type"], one["reason"]) == ("Ready", "NotGranted")), None)
