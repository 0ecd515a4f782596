import base64
import hashlib
import json
from typing import Any

import pytest

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.arm_template import container_groups, existing_policies, set_policies
from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.document import EnvRule, PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from tests.support.policy_scenarios import measured_image

IMAGE = "x.io/app:1"
IMAGES = {IMAGE: measured_image(IMAGE, "1" * 64, entrypoint=("/entry",), cmd=("default",), user="7")}


def document(
    settings: PolicySettings | None = None, properties: dict[str, Any] | None = None, **own: Any
) -> PolicyDocument:
    group = {
        "properties": {"containers": [{"name": "app", "properties": {"image": IMAGE, **own}}], **(properties or {})}
    }
    return parse_policy(container_group_policy(group, IMAGES, settings or PolicySettings()).text)


def test_a_command_replaces_entry_point_and_command() -> None:
    assert document().containers[0].command == ("/entry", "default")
    assert document(command=["/c"]).containers[0].command == ("/c",)


def test_volumes_keep_their_kind_and_resolv_conf_comes_last() -> None:
    volumes = [
        {"name": "files", "azureFile": {"shareName": "s"}},
        {"name": "keys", "secret": {"k": ""}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "files", "mountPath": "/files", "readOnly": True},
        {"name": "keys", "mountPath": "/keys"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    container = document(
        properties={"volumes": volumes}, volumeMounts=mounts, configMap={"keyValuePairs": {}}
    ).containers[0]
    assert [(mount.destination, mount.source, mount.options[2]) for mount in container.mounts] == [
        ("/files", "sandbox:///tmp/atlas/azureFileVolume/.+", "ro"),
        ("/keys", "sandbox:///tmp/atlas/secretsVolume/.+", "rw"),
        ("/scratch", "sandbox:///tmp/atlas/emptydir/.+", "rw"),
        ("/mnt/configmap", "sandbox:///tmp/atlas/emptydir/.+", "rw"),
        ("/etc/resolv.conf", "sandbox:///tmp/atlas/resolvconf/.+", "rw"),
    ]


def test_a_mount_of_an_unknown_volume_is_refused() -> None:
    with pytest.raises(PolicyError, match="volume mount 'missing'"):
        document(volumeMounts=[{"name": "missing", "mountPath": "/x"}])


def test_names_of_properties_do_not_depend_on_case() -> None:
    group = {
        "Properties": {
            "CONTAINERS": [
                {"Name": "app", "properties": {"Image": IMAGE, "EnvironmentVariables": [{"NAME": "A", "Value": "1"}]}}
            ]
        }
    }
    text = container_group_policy(group, IMAGES, PolicySettings()).text
    assert parse_policy(text).containers[0].env_rules[0] == EnvRule("A=1")


def test_secure_values_are_pinned_like_others_and_the_services_address_is_open() -> None:
    variables = [
        {"name": "S", "secureValue": "hidden"},
        {"name": "EMPTY", "value": ""},
        {"name": "THIM_ENDPOINT", "value": "===CONFIDENTIAL.THIM.ENDPOINT==="},
    ]
    rules = document(environmentVariables=variables).containers[0].env_rules[:3]
    assert rules == (EnvRule("S=hidden"), EnvRule("EMPTY="), EnvRule("THIM_ENDPOINT=.*", "re2"))


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(PolicyError, match="variable 'A' has no value"):
        document(environmentVariables=[{"name": "A"}])


def test_probes_become_exec_processes_readiness_first() -> None:
    live, ready = {"exec": {"command": ["live"]}}, {"exec": {"command": ["ready"]}}
    container = document(livenessProbe=live, readinessProbe=ready).containers[0]
    assert [process.command for process in container.exec_processes] == [("ready",), ("live",)]


def test_a_seccomp_profile_is_hashed_in_its_normal_form() -> None:
    profile = {"syscalls": [{"action": "SCMP_ACT_ALLOW", "names": ["read"], "comment": "x", "args": [{"value": 1, "index": 2}]}],
               "defaultAction": "SCMP_ACT_ERRNO", "unknown": 1}  # fmt: skip
    normal = (
        '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",'
        '"args":[{"index":2,"value":1,"op":""}]}]}'
    )
    encoded = base64.b64encode(json.dumps(profile).encode()).decode()
    container = document(securityContext={"seccompProfile": encoded}).containers[0]
    assert container.seccomp_profile_sha256 == hashlib.sha256(normal.encode()).hexdigest()
    with pytest.raises(PolicyError, match="seccompProfile"):
        document(securityContext={"seccompProfile": "not base64!"})


def test_the_groups_own_fragments_follow_the_default() -> None:
    own = {"feed": "x.io/f", "issuer": "did:x509:0:sha256:a", "minimum_svn": "3", "includes": ["containers"]}
    fragments = document(properties={"confidentialComputeProperties": {"standaloneFragments": [own]}}).fragments
    assert [fragment.feed for fragment in fragments] == ["mcr.microsoft.com/aci/aci-cc-infra-fragment", "x.io/f"]


def test_init_containers_follow_the_containers_and_the_pause_container_ends_the_list() -> None:
    containers = document(properties={"initContainers": [{"name": "init", "properties": {"image": IMAGE}}]}).containers
    assert [container.name for container in containers] == ["app", "init", "pause-container"]


def template(**container: Any) -> dict[str, Any]:
    return {
        "parameters": {"image": {"type": "string"}, "value": {"type": "string", "defaultValue": "default"}, "open": {"type": "string"}},
        "variables": {"name": "from-variables"},
        "resources": [
            {"type": "Microsoft.Storage/storageAccounts", "name": "other"},
            {
                "type": "Microsoft.ContainerInstance/containerGroups",
                "name": "group",
                "properties": {"containers": [{"name": "[variables('name')]", "properties": {"image": "[parameters('image')]", **container}}]},
            },
        ],
    }  # fmt: skip


PARAMETERS = {"parameters": {"image": {"value": IMAGE}}}


def variables(template_variables: list[dict[str, str]], settings: PolicySettings | None = None) -> list[EnvRule]:
    (group,) = container_groups(template(environmentVariables=template_variables), PARAMETERS)
    text = container_group_policy(group, IMAGES, settings or PolicySettings()).text
    return list(parse_policy(text).containers[0].env_rules[: len(template_variables)])


def test_parameters_and_variables_are_put_in() -> None:
    (group,) = container_groups(template(), PARAMETERS)
    assert (
        parse_policy(container_group_policy(group, IMAGES, PolicySettings()).text).containers[0].name
        == "from-variables"
    )
    assert variables([{"name": "A", "value": "pre-[parameters( 'value' )]-post"}]) == [EnvRule("A=pre-default-post")]


def test_a_parameter_without_a_value_must_be_allowed_to_be_anything() -> None:
    entry = [{"name": "A", "value": "[parameters('open')]"}]
    with pytest.raises(PolicyError, match="open"):
        variables(entry)
    assert variables(entry, PolicySettings(approve_wildcards=True)) == [EnvRule("A=.*", "re2")]


def test_an_image_without_a_value_is_refused_by_its_name() -> None:
    (group,) = container_groups(template())
    with pytest.raises(PolicyError, match=r"parameters\('image'\)"):
        container_group_policy(group, IMAGES, PolicySettings())


def test_undeclared_names_are_refused() -> None:
    with pytest.raises(PolicyError, match="'nowhere'"):
        container_groups(template(command=["[parameters('nowhere')]"]), PARAMETERS)
    with pytest.raises(PolicyError, match="stray"):
        container_groups(template(), {"parameters": {"stray": {"value": 1}}})


def test_a_falsy_parameter_is_a_value() -> None:
    given = template(environmentVariables=[{"name": "A", "value": "[parameters('value')]"}])
    (group,) = container_groups(given, {"parameters": {"image": {"value": IMAGE}, "value": {"value": ""}}})
    assert parse_policy(container_group_policy(group, IMAGES, PolicySettings()).text).containers[0].env_rules[
        0
    ] == EnvRule("A=")


def test_policies_are_put_into_the_groups_in_order() -> None:
    document = template()
    assert existing_policies(document) == [""]
    set_policies(document, ["cG9saWN5"])
    assert existing_policies(document) == ["cG9saWN5"]
    assert "confidentialComputeProperties" not in json.dumps(document["resources"][0])


def test_a_template_without_a_group_is_refused() -> None:
    with pytest.raises(PolicyError, match="no resource of type"):
        container_groups({"resources": []})
