"""The policy of a pod on a virtual node (virtual nodes on Azure Container Instances)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.container import ContainerSpec, container_rules, policy_document, truth
from confidential_summarizer.policy.document import EnvRule, ExecProcess, MountRule, Policy, PolicyDocument
from confidential_summarizer.policy.environment import INJECTED, SERVICE_LINKS, WORKLOAD_IDENTITY
from confidential_summarizer.policy.expansion import expand
from confidential_summarizer.policy.mounts import mount
from confidential_summarizer.policy.pod_environment import Sources, environment
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import render

POLICY_ANNOTATION = "microsoft.containerinstance.virtualnode.ccepolicy"
"""Pod annotation that carries the policy in base64; its presence makes the pod confidential."""

NODE_MOUNTS = (
    mount("emptyDir", "/etc/resolv.conf"),
    mount("emptyDir", "/var/run/secrets/kubernetes.io/serviceaccount", read_only=True),
    *(mount("emptyDir", path) for path in ("/etc/hosts", "/dev/termination-log", "/etc/hostname")),
)
"""What the virtual node mounts into every container."""

IDENTITY_MOUNT = mount("emptyDir", "/var/run/secrets/azure/tokens", read_only=True)
"""What the workload identity webhook mounts."""

IDENTITY_LABEL = "azure.workload.identity/use"
_READ_ONLY_KINDS = frozenset({"configMap", "secret", "downwardAPI", "projected"})

Json = Mapping[str, Any]


def virtual_node_policy(
    pod: Json, images: Mapping[str, MeasuredImage], settings: PolicySettings, documents: Iterable[Json] = ()
) -> Policy:
    """Write the policy for a pod exactly as it is deployed.

    Args:
        pod: `metadata` and `spec` of a Pod, or of the pod template of a Deployment, StatefulSet, DaemonSet, ReplicaSet,
            Job or CronJob (the
            latter's `volumeClaimTemplates` may stand beside `spec`).
        images: What was measured, by image reference as the pod writes it.
        settings: How to write the policy.
        documents: The other documents of the manifest; ConfigMaps and Secrets that variables refer to must be among
            them.

    Raises:
        PolicyError: The pod cannot be described by a policy; the message names the container and the field.
    """
    return render(virtual_node_document(pod, images, settings, documents))


def virtual_node_document(
    pod: Json, images: Mapping[str, MeasuredImage], settings: PolicySettings, documents: Iterable[Json] = ()
) -> PolicyDocument:
    """As `virtual_node_policy`, before it becomes text."""
    sources = Sources.collect(documents, approve_wildcards=settings.approve_wildcards)
    containers = pod_containers(pod)
    specs = [_container(pod, container, images, sources) for container in containers]
    rules = [container_rules(spec, images, settings) for spec in specs]
    return policy_document(rules, settings, [spec.image for spec in specs])


def pod_containers(pod: Json) -> list[Json]:
    """The pod's containers, then its init containers.

    Raises:
        PolicyError: There are none, or one has no name or image.
    """
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    if not containers:
        raise PolicyError("the pod has no containers: nothing to write a policy for")
    for container in containers:
        if not isinstance(container.get("name"), str) or not isinstance(container.get("image"), str):
            raise PolicyError("every container of the pod needs a name and an image")
    return containers


def _container(pod: Json, container: Json, images: Mapping[str, MeasuredImage], sources: Sources) -> ContainerSpec:
    spec = pod["spec"]
    security = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    identity = str(((pod.get("metadata") or {}).get("labels") or {}).get(IDENTITY_LABEL)).lower() == "true"
    env = environment(container, sources)
    return ContainerSpec(
        name=container["name"],
        image=container["image"],
        command=_command(container, images, env),
        env=(*env, *(WORKLOAD_IDENTITY if identity else ())),
        injected=(*INJECTED, *SERVICE_LINKS),
        mounts=_mounts(pod, container, identity=identity, privileged=truth(security, "privileged", default=False)),
        exec_processes=tuple(_exec_processes(container)),
        security=security,
        seccomp_profile=_seccomp(container["name"], security),
        working_dir=container.get("workingDir"),
    )


def _command(container: Json, images: Mapping[str, MeasuredImage], env: Sequence[EnvRule]) -> tuple[str, ...]:
    """Kubernetes keeps the image's entry point unless `command` replaces it, and its command unless either is given."""
    command, arguments = container.get("command"), container.get("args")
    subject = f"container {container['name']}: its command"
    given = tuple(expand(str(word), env, subject) for word in (*(command or ()), *(arguments or ())))
    if command:
        return given
    measured = images.get(container["image"])
    if measured is None:
        return given
    config = measured.image.config
    return (config.entrypoint or ()) + (given if arguments else config.cmd or ())


def _mounts(pod: Json, container: Json, *, identity: bool, privileged: bool) -> tuple[MountRule, ...]:
    rules = [IDENTITY_MOUNT] if identity else []
    for entry in container.get("volumeMounts") or ():
        read_only = bool(entry.get("readOnly")) or _is_read_only(pod, str(entry.get("name")))
        rules.append(mount("emptyDir", str(entry.get("mountPath")), read_only=read_only))
    if privileged:
        rules += [mount("emptyDir", "/sys/fs/cgroup"), mount("emptyDir", "/sys")]
    return (*rules, *NODE_MOUNTS)


def _is_read_only(pod: Json, name: str) -> bool:
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("name") == name:
            return bool(_READ_ONLY_KINDS & volume.keys())
    for claim in pod.get("volumeClaimTemplates") or ():
        if (claim.get("metadata") or {}).get("name") == name:
            return "ReadOnlyMany" in ((claim.get("spec") or {}).get("accessModes") or ())
    return False


def _exec_processes(container: Json) -> Iterable[ExecProcess]:
    lifecycle = container.get("lifecycle") or {}
    for handler in (
        container.get("livenessProbe"),
        container.get("readinessProbe"),
        container.get("startupProbe"),
        lifecycle.get("postStart"),
        lifecycle.get("preStop"),
    ):
        command = ((handler or {}).get("exec") or {}).get("command")
        if command:
            yield ExecProcess(tuple(map(str, command)))


def _seccomp(name: str, security: Json) -> str:
    profile = security.get("seccompProfile")
    if not isinstance(profile, Mapping):
        return str(profile or "")
    if profile.get("type") in {"RuntimeDefault", "Unconfined"}:
        return ""
    raise PolicyError(
        f"container {name}: a seccomp profile of type {profile.get('type')!r} is a file of the node: it cannot be "
        "pinned, use RuntimeDefault"
    )
