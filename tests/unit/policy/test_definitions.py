"""Containers described by themselves, in both versions of `az confcom`'s input."""

from typing import Any

import pytest

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.contracts import CONTRACTS
from confidential_summarizer.policy.definitions import Definitions
from confidential_summarizer.policy.document import ContainerRules, EnvRule, PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import measured_image

APP = "x.io/app:1"
IMAGES = {APP: measured_image(APP, "1" * 64, cmd=("/app",))}
PROPERTIES = {
    "image": APP,
    "environmentVariables": [{"name": "MODE", "value": "strict"}],
    "livenessProbe": {"exec": {"command": ["cat", "/tmp/alive"]}},
    "securityContext": {"runAsUser": 1000},
}


def read(definitions: Definitions, **settings: Any) -> PolicyDocument:
    return parse_policy(definitions.policy(IMAGES, PolicySettings(**settings)).text)


def app(document: dict[str, Any]) -> ContainerRules:
    return read(Definitions.parse(document)).containers[0]


def group(**more: Any) -> dict[str, Any]:
    return {"properties": {"containers": [{"name": "app", "properties": PROPERTIES}]}, **more}


def test_a_container_says_the_same_by_itself_and_in_a_template() -> None:
    alone = Definitions.parse({"version": "1.0", "containers": [{"name": "app", "properties": PROPERTIES}]})
    assert alone.policy(IMAGES, PolicySettings()) == container_group_policy(group(), IMAGES, PolicySettings())


def test_a_container_says_the_same_by_itself_and_in_a_pod() -> None:
    entry = {"name": "app", "properties": {"image": APP}}
    alone = Definitions.parse({"scenario": "vn2", "containers": [entry]})
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app", "image": APP}]}}
    assert alone.policy(IMAGES, PolicySettings()) == virtual_node_policy(pod, IMAGES, PolicySettings())


def test_workload_identity_comes_first_where_the_labels_ask_for_it() -> None:
    container = app(
        {
            "scenario": "vn2",
            "labels": {"azure.workload.identity/use": "true"},
            "containers": [{"name": "app", "properties": PROPERTIES}],
        }
    )
    assert container.env_rules[0].name == "AZURE_CLIENT_ID"
    assert container.mounts[0].destination == "/var/run/secrets/azure/tokens"


def test_a_flat_container_has_expressions_read_only_mounts_and_may_be_privileged() -> None:
    container = app(
        {
            "version": "1.0",
            "containers": [
                {
                    "containerImage": APP,
                    "environmentVariables": [{"name": "P", "value": "[0-9]+", "strategy": "re2"}],
                    "mounts": [{"mountType": "azureFile", "mountPath": "/data"}],
                    "allow_elevated": True,
                }
            ],
        }
    )
    assert container.name == APP
    assert container.env_rules[0] == EnvRule("P=[0-9]+", "re2")
    assert container.mounts[0].options == ("rbind", "rshared", "ro")
    assert container.allow_elevated


def test_an_image_alone_starts_what_its_config_says() -> None:
    container = read(Definitions.of_images([APP])).containers[0]
    assert (container.name, container.id, container.command) == (APP, APP, ("/app",))


def test_fragments_of_the_file_come_before_the_services_own() -> None:
    own = {"feed": "x.io/frag", "issuer": "did:x509:0", "minimum_svn": "2", "includes": ["containers"]}
    entry = {"name": "app", "properties": PROPERTIES}
    feeds = [
        fragment.feed for fragment in read(Definitions.parse({"fragments": [own], "containers": [entry]})).fragments
    ]
    assert feeds == ["x.io/frag", "mcr.microsoft.com/aci/aci-cc-infra-fragment"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "no list of containers"),
        ({"containers": [{"name": "a", "properties": {}}]}, "needs properties.image"),
        ({"containers": [{"name": "a", "properties": {"image": APP, "command": "sh"}}]}, "command must be a list"),
        ({"containers": [{"name": "a", "properties": {"image": APP, "volumeMounts": [{}]}}]}, "mountType"),
    ],
)
def test_what_is_malformed_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Definitions.parse(document).policy(IMAGES, PolicySettings())


@pytest.mark.parametrize("value", ["true", "True", True])
def test_a_tag_leaves_the_services_own_fragment_out(value: object) -> None:
    policy = container_group_policy(group(tags={"annotate-zero-sidecar": value}), IMAGES, PolicySettings())
    assert parse_policy(policy.text).fragments == ()


def test_a_sidecar_of_the_service_has_an_empty_command_in_the_oldest_contract_only() -> None:
    sidecar = "mcr.microsoft.com/aci/msi-atlas-adapter:1"
    images = {sidecar: measured_image(sidecar, "1" * 64, cmd=("/x",))}
    definitions = Definitions.of_images([sidecar])
    commands = {
        name: parse_policy(definitions.policy(images, PolicySettings(contract=contract)).text).containers[0].command
        for name, contract in CONTRACTS.items()
    }
    assert commands.pop("0.10") == ()
    assert set(commands.values()) == {None}


SIDECAR = "mcr.microsoft.com/aci/msi-atlas-adapter:1"


def of_images(*references: str, **config: Any) -> PolicyDocument:
    usual = {"cmd": ("/x",), "env": ("PATH=/bin",), "user": "7", "stop_signal": "SIGQUIT"}
    images = {reference: measured_image(reference, "1" * 64, **(usual | config)) for reference in references}
    return parse_policy(Definitions.of_images(references).policy(images, PolicySettings()).text)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "command"),
    [
        (("/entry",), None, ("/entry",)),
        (None, ("/cmd", "a"), ("/cmd", "a")),
        (("/entry",), ("a",), ("/entry", "a")),
        (None, None, None),
    ],
)
def test_an_image_alone_starts_its_entry_point_its_command_or_both(
    entrypoint: tuple[str, ...] | None, cmd: tuple[str, ...] | None, command: tuple[str, ...] | None
) -> None:
    assert of_images(APP, entrypoint=entrypoint, cmd=cmd).containers[0].command == command


def test_of_a_sidecar_of_the_service_the_image_says_nothing() -> None:
    ours, theirs = of_images(APP).containers[0], of_images(SIDECAR).containers[0]
    assert (ours.command, ours.user.user.pattern, ours.signals[-1]) == (("/x",), "7", 3)
    assert "PATH=/bin" in [rule.pattern for rule in ours.env_rules]
    assert (theirs.user.user.strategy, theirs.signals) == ("any", ours.signals[:-1])
    assert theirs.env_rules == ()


@pytest.mark.parametrize(
    ("references", "package", "containers"),
    [
        ((APP,), "policy", 2),
        ((SIDECAR,), "microsoftcontainerinstance", 1),
        ((SIDECAR, APP), "microsoftcontainerinstance", 3),
        ((APP, SIDECAR), "policy", 3),
    ],
)
def test_a_policy_of_the_services_sidecars_alone_has_a_package_of_its_own_and_no_pause_container(
    references: tuple[str, ...], package: str, containers: int
) -> None:
    policy = of_images(*references)
    assert (policy.package, len(policy.containers)) == (package, containers)
    assert (policy.containers[-1].name == "pause-container") is (APP in references)


def test_an_image_whose_name_only_begins_like_a_sidecars_is_none() -> None:
    assert of_images("mcr.microsoft.com/aci/msi-atlas-adapter-x:1").package == "policy"


def test_a_boolean_parameter_is_written_as_the_azure_tooling_writes_it() -> None:
    properties = {**PROPERTIES, "environmentVariables": [{"name": "B", "value": True}]}
    entry = {"name": "app", "properties": properties}
    policy = container_group_policy({"properties": {"containers": [entry]}}, IMAGES, PolicySettings())
    assert parse_policy(policy.text).containers[0].env_rules[0] == EnvRule("B=True")


def test_a_value_of_the_service_inside_a_longer_one_stays_as_it_is() -> None:
    value = "http://===VIRTUALNODE2.CC.THIM.ADDRESS===/x"
    pod = {"spec": {"containers": [{"name": "app", "image": APP, "env": [{"name": "U", "value": value}]}]}}
    policy = virtual_node_policy(pod, IMAGES, PolicySettings())
    assert parse_policy(policy.text).containers[0].env_rules[0] == EnvRule(f"U={value}")
