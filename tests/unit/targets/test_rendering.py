"""What a resource becomes on each target, and that nothing but the resource and its images decides it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import (
    ENCFS,
    SUMMARIZER,
    SUMMARIZER_CAPABILITIES,
    blueprint,
    image_references,
)
from confidential_summarizer.policy.document import Capabilities
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.ownership import group_name
from tests.support.fakes import measured
from tests.support.resources import document, resource

ARM = {
    "containerGroup": {
        "subscriptionID": "00000000-0000-0000-0000-000000000001",
        "resourceGroup": "rg",
        "location": "westeurope",
        "subnetIDs": ["/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"],
    }
}


def images() -> dict:
    return {c: measured(reference) for c, reference in image_references(resource()).items()}


def named(name: str) -> ConfidentialSummarizer:
    given = document()
    given["metadata"]["name"] = name
    return ConfidentialSummarizer.parse(given)


def pod_spec(**changes: object) -> dict:
    return derive(resource(**changes), images()).manifest["spec"]["template"]["spec"]


def test_two_containers_share_the_group() -> None:
    assert [c["name"] for c in pod_spec()["containers"]] == [SUMMARIZER, ENCFS]


def test_the_page_is_probed_over_the_tls_that_it_speaks() -> None:
    pod = next(c for c in pod_spec()["containers"] if c["name"] == SUMMARIZER)
    group = derive(resource(target=ARM), images()).manifest["properties"]["containers"][0]["properties"]
    assert pod["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8501, "scheme": "HTTPS"}
    assert group["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8501, "scheme": "https"}


def test_only_the_sidecar_that_mounts_is_privileged() -> None:
    privileged = {c["name"]: c.get("securityContext", {}).get("privileged", False) for c in pod_spec()["containers"]}
    assert privileged == {SUMMARIZER: False, ENCFS: True}


@pytest.mark.parametrize("changes", [{}, {"target": ARM}], ids=["virtual node", "container group"])
def test_the_policy_allows_the_summarizer_the_rights_that_it_runs_with_and_no_more(changes: dict) -> None:
    document = parse_policy(derive(resource(**changes), images()).policy.text)
    (rules,) = [container for container in document.containers if container.name == SUMMARIZER]
    few = SUMMARIZER_CAPABILITIES
    assert rules.capabilities == Capabilities(ambient=(), bounding=few, effective=few, inheritable=(), permitted=few)
    assert (rules.no_new_privileges, rules.allow_elevated) == (True, False)


def test_capabilities_are_dropped_by_the_names_that_each_target_knows() -> None:
    pod = next(c for c in pod_spec()["containers"] if c["name"] == SUMMARIZER)
    group = derive(resource(target=ARM), images()).manifest["properties"]["containers"][0]["properties"]
    for container, prefix in ((pod, ""), (group, "CAP_")):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        dropped = container["securityContext"]["capabilities"]["drop"]
        assert len(dropped) == 12
        assert {f"{prefix}CHOWN", f"{prefix}DAC_OVERRIDE", f"{prefix}NET_RAW"} <= set(dropped)
        assert not {f"{prefix}SETUID", f"{prefix}SETGID"} & set(dropped)


def test_no_cluster_token_and_no_service_links_enter_the_group() -> None:
    spec = pod_spec()
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_the_sidecar_is_told_where_and_never_with_what_key_or_hash() -> None:
    (encfs,) = [c for c in pod_spec()["containers"] if c["name"] == ENCFS]
    arguments = json.loads(base64.b64decode(encfs["env"][0]["value"]))
    assert arguments == {
        "azure_filesystems": [
            {
                "mount_point": "/mnt/remote/documents",
                "azure_url": "https://party2.blob.core.windows.net/sealed/contracts.img",
                "azure_url_private": True,
                "read_write": False,
                "key": {
                    "kid": "contracts-key",
                    "kty": "oct-HSM",
                    "authority": {"endpoint": "sharedeus2.eus2.attest.azure.net"},
                    "akv": {"endpoint": "party2.managedhsm.azure.net"},
                },
            }
        ]
    }


def test_the_policy_in_the_annotation_is_the_one_whose_hash_is_beside_it() -> None:
    derivation = derive(resource(), images())
    annotations = derivation.manifest["spec"]["template"]["metadata"]["annotations"]
    assert annotations[POLICY_ANNOTATION] == derivation.policy.base64
    assert annotations["confidential.summarizer.dev/host-data"] == derivation.policy.host_data


@pytest.mark.parametrize(
    "changes",
    [
        {"summarizer": {"maxWords": 50}},
        {"summarizer": {"models": ["t5"]}},
        {"policy": {"profile": "Debug"}},
        {"policy": {"contract": "0.10"}},
        {"target": ARM},
    ],
    ids=["words", "model", "debug", "contract", "target"],
)
def test_whatever_changes_what_runs_changes_the_policy(changes: dict) -> None:
    assert derive(resource(**changes), images()).policy.host_data != derive(resource(), images()).policy.host_data


@pytest.mark.parametrize("changes", [{"replicas": 3}, {"driftPolicy": "Report"}, {"resources": {"cpu": "4"}}])
def test_what_does_not_change_what_runs_keeps_the_policy(changes: dict) -> None:
    assert derive(resource(**changes), images()).policy.host_data == derive(resource(), images()).policy.host_data


def test_nothing_can_be_looked_into_unless_the_profile_is_debug() -> None:
    restricted, debug = (
        derive(resource(policy={"profile": profile}), images()).policy.text for profile in ("Restricted", "Debug")
    )
    assert '"allow_stdio_access":true' not in restricted.replace(_pause(restricted), "")
    assert '"/bin/sh"' not in restricted
    assert '"/bin/sh"' in debug


def _pause(text: str) -> str:
    """The platform's own pause container, whose rules are a constant of the service."""
    start = text.rindex('{"allow_elevated"')
    return text[start : text.index("]\n", start)]


def test_the_token_s_hash_is_pinned_and_the_token_nowhere() -> None:
    derivation = derive(resource(), images(), token_sha256="cd" * 32)
    assert f"SUMMARIZER_TOKEN_SHA256={'cd' * 32}" in derivation.policy.text


def test_a_group_through_resource_manager_carries_the_same_containers() -> None:
    group = derive(resource(target=ARM), images()).manifest
    assert group["properties"]["sku"] == "Confidential"
    assert [c["name"] for c in group["properties"]["containers"]] == [SUMMARIZER, ENCFS]
    assert group["properties"]["confidentialComputeProperties"]["ccePolicy"]
    assert group["properties"]["ipAddress"]["type"] == "Private"


@pytest.mark.parametrize("length", [1, 40, 63])
def test_the_name_of_a_group_fits_and_differs_by_resource_and_replica(length: int) -> None:
    one = named("n" * length)
    names = {group_name(one.metadata, replica) for replica in range(3)}
    assert len(names) == 3
    assert all(len(name) <= 63 and name.strip("-") == name for name in names)


def test_the_policy_is_the_same_under_every_hash_seed() -> None:
    script = (
        "import sys; sys.path.insert(0, '.');"
        "from tests.unit.targets.test_rendering import *;"
        "print(derive(resource(), images()).policy.host_data)"
    )
    root = Path(__file__).parents[3]
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": "C"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, zone in ((0, "UTC"), (1, "Asia/Tokyo"), (2, "America/New_York"))
    }
    assert len(found) == 1


def test_with_two_identities_both_sidecars_are_told_which_one_they_are() -> None:
    client = "12345678-1234-1234-1234-123456789abc"
    pull = resource().spec.identity.resource_id + "-pull"
    given = resource(
        target=ARM,
        identity={"resourceID": resource().spec.identity.resource_id, "clientID": client},
        registryCredentials={"identity": pull},
    )
    group = derive(given, images()).manifest
    assert len(group["identity"]["userAssignedIdentities"]) == 2
    environments = {
        container["name"]: {v["name"]: v["value"] for v in container["properties"]["environmentVariables"]}
        for container in group["properties"]["containers"]
    }
    opening = json.loads(base64.b64decode(environments[ENCFS]["EncfsSideCarArgs"]))
    assert opening["azure_info"] == {"identity": {"client_id": client}}


def test_a_blueprint_knows_no_policy() -> None:
    plan = blueprint(resource(), {c: m.image.pinned for c, m in images().items()})
    assert "policy" not in str(plan).lower()
