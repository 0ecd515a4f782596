import base64
from typing import Any

import pytest

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.capabilities import PRIVILEGED
from confidential_summarizer.policy.document import ContainerRules, EnvRule, PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import measured_image

IMAGE = "x.io/app:1"
IMAGES = {
    IMAGE: measured_image(
        IMAGE, "1" * 64, entrypoint=("/entry",), cmd=("default",), env=("PATH=/bin", "TERM=dumb"),
        working_dir="/srv", user="app:staff", stop_signal="SIGQUIT",
    )
}  # fmt: skip


def document(pod_metadata: dict[str, Any] | None = None, docs: tuple[Any, ...] = (), settings: PolicySettings | None = None,
             pod_spec: dict[str, Any] | None = None, **container: Any) -> PolicyDocument:  # fmt: skip
    spec = {"containers": [{"name": "app", "image": IMAGE, **container}], **(pod_spec or {})}
    pod = {"metadata": pod_metadata or {}, "spec": spec, "volumeClaimTemplates": spec.pop("volumeClaimTemplates", None)}
    return parse_policy(virtual_node_policy(pod, IMAGES, settings or PolicySettings(), docs).text)


def first(**container: Any) -> ContainerRules:
    return document(**container).containers[0]


def of_image(**config: Any) -> ContainerRules:
    """The rules of a container of which only the image says something."""
    pod = {"spec": {"containers": [{"name": "app", "image": IMAGE}]}}
    images = {IMAGE: measured_image(IMAGE, "1" * 64, **config)}
    return parse_policy(virtual_node_policy(pod, images, PolicySettings()).text).containers[0]


def env(container: ContainerRules) -> list[str]:
    return [rule.pattern for rule in container.env_rules]


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({}, ("/entry", "default")),
        ({"command": ["/c"]}, ("/c",)),
        ({"command": ["/c"], "args": ["a"]}, ("/c", "a")),
        ({"args": ["a"]}, ("/entry", "a")),
    ],
)
def test_command_and_args_replace_entry_point_and_command_as_in_kubernetes(
    given: dict[str, Any], command: object
) -> None:
    assert first(**given).command == command


def test_variables_are_the_pods_then_the_images_then_the_platforms() -> None:
    container = first(env=[{"name": "A", "value": "1=2"}, {"name": "PATH", "value": "/own"}, {"name": "EMPTY"}])
    assert env(container)[:5] == ["A=1=2", "PATH=/own", "EMPTY=", "TERM=dumb", "(?i)(FABRIC)_.+=.+"]
    assert env(container)[-1] == "[A-Z0-9_]+_PORT_[0-9]+_TCP_ADDR=.+"
    assert [rule.strategy for rule in container.env_rules[:5]] == ["string"] * 4 + ["re2"]


CONFIG = {
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"k": "v"},
    "binaryData": {"b": base64.b64encode(b"bin").decode()},
}
SECRET = {
    "kind": "Secret",
    "metadata": {"name": "s"},
    "data": {"k": base64.b64encode(b"hidden").decode()},
    "stringData": {"p": "plain"},
}


def reference(kind: str, name: str, key: str) -> dict[str, Any]:
    return {"name": "A", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        (reference("configMap", "c", "k"), "A=v"),
        (reference("configMap", "c", "b"), "A=bin"),
        (reference("secret", "s", "k"), "A=hidden"),
        (reference("secret", "s", "p"), "A=plain"),
    ],
)
def test_values_are_taken_from_config_maps_and_secrets_beside_the_pod(entry: dict[str, Any], value: str) -> None:
    assert env(document(docs=(CONFIG, SECRET), env=[entry]).containers[0])[0] == value


def test_a_value_from_elsewhere_must_be_allowed_to_be_anything() -> None:
    entry = reference("secret", "missing", "k")
    with pytest.raises(PolicyError, match="missing"):
        document(env=[entry])
    approved = document(env=[entry], settings=PolicySettings(approve_wildcards=True)).containers[0]
    assert approved.env_rules[0] == EnvRule("A=.*", "re2")


def test_env_from_becomes_one_rule_for_each_key() -> None:
    entries = [{"configMapRef": {"name": "c"}, "prefix": "C_"}, {"secretRef": {"name": "s"}}]
    container = document(docs=(CONFIG, SECRET), env=[{"name": "k", "value": "own"}], envFrom=entries).containers[0]
    assert env(container)[:5] == ["k=own", "C_b=bin", "C_k=v", "p=plain", "PATH=/bin"]


def test_env_from_something_unknown_is_refused() -> None:
    with pytest.raises(PolicyError, match="envFrom needs ConfigMap 'nowhere'"):
        document(envFrom=[{"configMapRef": {"name": "nowhere"}}])


def test_fields_of_the_pod_may_be_anything_and_resources_are_pinned() -> None:
    container = first(
        env=[
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "THIM", "value": "===VIRTUALNODE2.CC.THIM.ENDPOINT==="},
        ],
        resources={"limits": {"cpu": "2"}},
    )
    assert container.env_rules[:3] == (EnvRule("IP=.*", "re2"), EnvRule("CPU=2"), EnvRule("THIM=.*", "re2"))


def test_references_between_variables_are_replaced_as_kubelets_do() -> None:
    container = first(
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(LATER)-$$(A)-$x"},
            {"name": "LATER", "value": "2"},
        ],
        command=["/c", "$(B)"],
        args=["$(LATER)"],
    )
    assert env(container)[1] == "B=1-$(LATER)-$(A)-$x"
    assert container.command == ("/c", "1-$(LATER)-$(A)-$x", "2")


def test_a_reference_to_an_unknown_value_is_refused() -> None:
    with pytest.raises(PolicyError, match="refers to IP"):
        first(env=[{"name": "IP", "valueFrom": {"fieldRef": {}}}, {"name": "B", "value": "$(IP)"}])


def test_mounts_come_in_the_platforms_order() -> None:
    container = document(
        pod_metadata={"labels": {"azure.workload.identity/use": "true"}},
        volumeMounts=[{"name": "data", "mountPath": "/data"}, {"name": "conf", "mountPath": "/conf"}],
        pod_spec={"volumes": [{"name": "data", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "c"}}]},
        securityContext={"privileged": True},
    ).containers[0]
    assert [(mount.destination, mount.options[2]) for mount in container.mounts] == [
        ("/var/run/secrets/azure/tokens", "ro"),
        ("/data", "rw"),
        ("/conf", "ro"),
        ("/sys/fs/cgroup", "rw"),
        ("/sys", "rw"),
        ("/etc/resolv.conf", "rw"),
        ("/var/run/secrets/kubernetes.io/serviceaccount", "ro"),
        ("/etc/hosts", "rw"),
        ("/dev/termination-log", "rw"),
        ("/etc/hostname", "rw"),
    ]
    assert {(mount.source, mount.type) for mount in container.mounts} == {("sandbox:///tmp/atlas/emptydir/.+", "bind")}
    assert env(container)[:2] == ["AZURE_CLIENT_ID=.+", "AZURE_TENANT_ID=.+"]


def test_a_read_only_claim_is_mounted_read_only() -> None:
    claims = [{"metadata": {"name": "ro"}, "spec": {"accessModes": ["ReadOnlyMany"]}}]
    container = document(
        pod_spec={"volumeClaimTemplates": claims},
        volumeMounts=[{"name": "ro", "mountPath": "/ro"}, {"name": "unknown", "mountPath": "/rw"}],
    ).containers[0]
    assert [mount.options[2] for mount in container.mounts[:2]] == ["ro", "rw"]


@pytest.mark.parametrize(
    ("security", "user", "group"),
    [
        ({}, ("app", "name"), ("staff", "name")),
        ({"runAsUser": 7}, ("7", "id"), ("", "any")),
        ({"runAsGroup": 8}, ("", "any"), ("8", "id")),
        ({"runAsUser": 0, "runAsGroup": 0}, ("0", "id"), ("0", "id")),
    ],
)
def test_the_user_is_the_pods_or_else_the_images(security: dict[str, int], user: object, group: object) -> None:
    rule = first(securityContext=security).user
    assert (rule.user.pattern, rule.user.strategy) == user
    assert (rule.groups[0].pattern, rule.groups[0].strategy) == group


@pytest.mark.parametrize("field", ["runAsUser", "runAsGroup"])
@pytest.mark.parametrize("value", ["root", "0", True, -1, 1.0, [0]])
def test_a_user_or_group_that_is_no_whole_number_is_refused(field: str, value: object) -> None:
    with pytest.raises(PolicyError, match=f"container app: securityContext.{field} must be a whole number"):
        first(securityContext={field: value})


@pytest.mark.parametrize(
    ("value", "privileged"),
    [(True, True), ("true", True), ("True", True), (False, False), ("false", False), ("FALSE", False), (None, False)],
)
def test_privileges_are_granted_as_the_manifest_says_in_either_form(value: object, privileged: bool) -> None:
    container = first(securityContext={"privileged": value, "allowPrivilegeEscalation": value})
    assert container.allow_elevated is privileged
    assert any(mount.source == "/sys" or mount.destination == "/sys" for mount in container.mounts) is privileged
    assert container.no_new_privileges is (value is not None and not privileged)


@pytest.mark.parametrize("field", ["privileged", "allowPrivilegeEscalation"])
@pytest.mark.parametrize("value", ["yes", "", 0, 1, [], {}])
def test_what_is_neither_true_nor_false_is_refused(field: str, value: object) -> None:
    with pytest.raises(PolicyError, match=f"securityContext.{field} must be true or false"):
        first(securityContext={field: value})


def test_the_containers_security_context_goes_before_the_pods() -> None:
    container = document(
        pod_spec={"securityContext": {"runAsUser": 1, "runAsGroup": 2}}, securityContext={"runAsUser": 3}
    ).containers[0]
    assert (container.user.user.pattern, container.user.groups[0].pattern) == ("3", "2")


def test_capability_names_are_understood_with_and_without_their_prefix() -> None:
    container = first(securityContext={"capabilities": {"add": ["NET_ADMIN"], "drop": ["CAP_CHOWN", "mknod"]}})
    assert container.capabilities is not None
    assert "CAP_NET_ADMIN" in container.capabilities.bounding
    assert not {"CAP_CHOWN", "CAP_MKNOD"} & set(container.capabilities.effective)


def test_dropping_all_capabilities_leaves_none() -> None:
    container = first(securityContext={"capabilities": {"drop": ["ALL"]}})
    assert container.capabilities is not None
    assert container.capabilities.bounding == ()


def test_what_is_added_to_nothing_is_all_that_a_container_has() -> None:
    """As containerd reads it: ALL goes first, whichever list it is in."""
    container = first(securityContext={"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "SETUID"]}})
    assert container.capabilities is not None
    assert container.capabilities.effective == ("CAP_NET_BIND_SERVICE", "CAP_SETUID")
    container = first(securityContext={"capabilities": {"drop": ["SYS_ADMIN"], "add": ["ALL"]}})
    assert container.capabilities is not None
    assert set(PRIVILEGED) - set(container.capabilities.effective) == {"CAP_SYS_ADMIN"}


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(PolicyError, match="NET_MAGIC"):
        first(securityContext={"capabilities": {"add": ["NET_MAGIC"]}})


def test_the_working_directory_is_the_containers_or_else_the_images() -> None:
    assert (first().working_dir, first(workingDir="/own").working_dir) == ("/srv", "/own")


@pytest.mark.parametrize(
    ("stop_signal", "signals"),
    [
        ("SIGQUIT", (9, 15, 3)),
        ("sigquit", (9, 15, 3)),
        ("SIGKILL", (9, 15)),
        ("", (9, 15)),
        ("SIGRTMIN+3", (9, 15, "SIGRTMIN+3")),
    ],
)
def test_the_images_stop_signal_is_allowed_beside_the_usual_ones_and_once(
    stop_signal: str, signals: tuple[int | str, ...]
) -> None:
    assert of_image(stop_signal=stop_signal).signals == signals


@pytest.mark.parametrize(
    ("config", "command"),
    [
        ({"entrypoint": ("/entry",)}, ("/entry",)),
        ({"cmd": ("/cmd", "a")}, ("/cmd", "a")),
        ({"entrypoint": ("/entry",), "cmd": ("a",)}, ("/entry", "a")),
        ({}, ()),
    ],
)
def test_an_image_starts_its_entry_point_its_command_or_both(config: dict[str, Any], command: tuple[str, ...]) -> None:
    assert of_image(**config).command == command


def test_probes_and_hooks_become_exec_processes_in_order_and_once() -> None:
    container = first(
        livenessProbe={"exec": {"command": ["live"]}},
        readinessProbe={"exec": {"command": ["live"]}},
        startupProbe={"httpGet": {"path": "/"}},
        lifecycle={"preStop": {"exec": {"command": ["stop"]}}},
    )
    assert [process.command for process in container.exec_processes] == [("live",), ("stop",)]


def test_only_the_debug_profile_opens_shells_and_logs() -> None:
    usual, debug = document(), document(settings=PolicySettings(debug=True))
    assert not usual.allows_debugging
    assert debug.allows_debugging
    assert [process.command for process in debug.containers[0].exec_processes] == [("/bin/sh",), ("/bin/bash",)]
    assert debug.containers[-1].exec_processes == ()


def test_output_can_be_closed_everywhere() -> None:
    closed = document(settings=PolicySettings(allow_stdio_access=False))
    assert not any(container.allow_stdio_access for container in closed.containers)


def test_required_variables_are_the_manifests_own() -> None:
    container = document(
        settings=PolicySettings(require_environment=True), env=[{"name": "A", "value": "1"}]
    ).containers[0]
    assert [rule.pattern for rule in container.env_rules if rule.required] == ["A=1"]


def test_a_seccomp_profile_of_the_node_is_refused() -> None:
    with pytest.raises(PolicyError, match="seccomp"):
        first(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "x.json"}})
    assert first(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}).seccomp_profile_sha256 == ""


def test_an_image_that_was_not_measured_is_refused() -> None:
    with pytest.raises(PolicyError, match="not measured"):
        virtual_node_policy({"spec": {"containers": [{"name": "a", "image": "y.io/b"}]}}, IMAGES, PolicySettings())


def test_a_pod_without_containers_is_refused() -> None:
    with pytest.raises(PolicyError, match="no containers"):
        virtual_node_policy({"spec": {}}, IMAGES, PolicySettings())


def test_fragments_can_be_excluded_added_and_raised() -> None:
    raised = document(settings=PolicySettings(infrastructure_svn="99")).fragments
    assert [fragment.minimum_svn for fragment in raised] == ["99"]
    assert document(settings=PolicySettings(exclude_default_fragments=True)).fragments == ()
    with pytest.raises(PolicyError, match="makes no sense"):
        PolicySettings(infrastructure_svn="1", exclude_default_fragments=True)
