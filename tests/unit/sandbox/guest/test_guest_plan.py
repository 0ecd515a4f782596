"""What a container group's body asks of the guest."""

import base64
from typing import Any

import pytest

from azure_sandbox.guest.api import Denied
from azure_sandbox.guest.plan import ContainerPlan, GroupPlan, group_plan
from confidential_summarizer.errors import SpecError
from confidential_summarizer.registry import ImageConfig

POLICY = base64.b64encode(b"package policy").decode()
IMAGE = ImageConfig(("/entry",), ("a", "b"), ("PATH=/bin", "A=image"), "/www", "7:8", "", "amd64", "linux", ())


def body(policy: str = POLICY, tags: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "confidentialComputeProperties": {"ccePolicy": policy},
        "containers": [{"name": "page", "properties": {"image": "r.azurecr.io/page"}}],
    }
    return {"name": "group", "tags": tags or {}, "properties": properties | changes}


def plan(**changes: Any) -> GroupPlan:
    return group_plan(body(**changes))


def container(tags: dict[str, str] | None = None, **properties: Any) -> ContainerPlan:
    containers = [{"name": "page", "properties": {"image": "r.azurecr.io/page", **properties}}]
    return plan(tags=tags, containers=containers, volumes=[{"name": "scratch", "emptyDir": {}}]).containers[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("/entry", "a", "b")),
        ({"command": ["/other", "x"]}, ("/other", "x")),
        ({"args": ["x"]}, ("/entry", "x")),
        ({"args": []}, ("/entry",)),
        ({"command": ["/other"], "args": ["x"]}, ("/other", "x")),
    ],
)
def test_command_and_arguments_replace_the_image_s_as_in_a_pod(
    given: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert container(**given).command_line(IMAGE) == expected


def test_the_container_s_variables_go_over_the_image_s_and_the_platform_adds_the_host_name() -> None:
    variables = [{"name": "A", "value": "own"}, {"name": "B", "secureValue": "secret"}, {"name": "C", "value": ""}]
    assert container(environmentVariables=variables).variables(IMAGE, "host") == (
        "PATH=/bin", "A=own", "B=secret", "C=", "HOSTNAME=host",
    )  # fmt: skip


def test_a_host_name_of_the_container_s_own_stays() -> None:
    own = container(environmentVariables=[{"name": "HOSTNAME", "value": "own"}])
    assert own.variables(IMAGE, "host")[-1] == "HOSTNAME=own"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "7:8"),
        ({"runAsUser": 1000}, "1000:"),
        ({"runAsUser": 0}, "0:"),
        ({"runAsGroup": 1000}, "7:1000"),
        ({"runAsUser": 1000, "runAsGroup": 0}, "1000:0"),
    ],
)
def test_a_security_context_replaces_the_image_s_user(given: dict[str, int], expected: str) -> None:
    assert container(securityContext=given).user(IMAGE) == expected


def test_a_group_of_resource_manager_gets_the_resolver_s_file_from_its_own_folder() -> None:
    group = plan()
    (rule,) = group.mount_rules(group.containers[0])
    assert rule.destination == "/etc/resolv.conf"
    assert rule.source == "/run/gcs/c/group/sandboxMounts/tmp/atlas/resolvconf/resolv.conf"
    assert set(rule.options) == {"rbind", "rshared", "rw"}
    assert group.platform_files == ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")


def test_a_pod_gets_what_a_kubelet_mounts_from_the_folder_for_empty_volumes() -> None:
    group = plan(tags={"NodeName": "virtualnode-0", "PodName": "web-0"})
    rules = group.mount_rules(group.containers[0])
    assert [rule.destination for rule in rules] == [
        "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/dev/termination-log",
    ]  # fmt: skip
    assert all("/tmp/atlas/emptydir/" in rule.source for rule in rules)
    assert group.hostname == "web-0"


def test_volumes_come_from_the_folder_of_their_kind_with_their_mode() -> None:
    mounts = [{"name": "scratch", "mountPath": "/a"}, {"name": "keys", "mountPath": "/b", "readOnly": True}]
    group = plan(
        volumes=[{"name": "scratch", "emptyDir": {}}, {"name": "keys", "secret": {"k": "cGxhbnRlZA=="}}],
        containers=[{"name": "page", "properties": {"image": "i", "volumeMounts": mounts}}],
    )
    first, second, _ = group.mount_rules(group.containers[0])
    assert (first.source.rsplit("/", 2)[1:], first.options) == (["emptydir", "scratch"], ("rbind", "rshared", "rw"))
    assert (second.source.rsplit("/", 2)[1:], second.options) == (["secretsVolume", "keys"], ("rbind", "rshared", "ro"))
    assert group.volumes[1].files == {"k": b"planted"}
    assert "planted" not in repr(group)


def test_a_volume_of_another_kind_is_refused() -> None:
    with pytest.raises(SpecError, match="volume share: the sandbox has emptyDir and secret volumes only"):
        plan(volumes=[{"name": "share", "azureFile": {"shareName": "x"}}])


def test_a_secret_that_is_not_base64_is_refused_without_being_shown() -> None:
    with pytest.raises(SpecError, match="volume keys: its secret k is not base64") as refused:
        plan(volumes=[{"name": "keys", "secret": {"k": "planted!"}}])
    assert "planted" not in str(refused.value)


def test_a_folder_outside_of_the_volume_is_refused() -> None:
    with pytest.raises(SpecError, match="leads out of the volume"):
        container(volumeMounts=[{"name": "scratch", "mountPath": "/a", "subPath": "a/../../b"}])


def test_privileged_containers_ask_for_every_capability() -> None:
    assert "CAP_SYS_ADMIN" in container(securityContext={"privileged": True}).capabilities.effective
    assert "CAP_SYS_ADMIN" not in container().capabilities.effective


def test_a_policy_that_is_not_base64_is_refused_in_the_guest_s_words() -> None:
    with pytest.raises(Denied, match="Security policy is not valid"):
        plan(policy="!")


def test_a_tag_starts_the_guest_debuggable() -> None:
    assert plan(tags={"sandbox.debuggable": "true"}).debuggable
    assert not plan().debuggable
