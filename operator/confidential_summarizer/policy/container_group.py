"""The policy of a container group as ARM takes it (`Microsoft.ContainerInstance/containerGroups`)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from confidential_summarizer.api.batch import ANY_SHARD, SHARD_INDEX
from confidential_summarizer.errors import PolicyError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.container import ContainerSpec, container_rules, is_sidecar, policy_document
from confidential_summarizer.policy.document import EnvRule, ExecProcess, Fragment, MountRule, Policy, PolicyDocument
from confidential_summarizer.policy.environment import INJECTED, SHARD, wildcard
from confidential_summarizer.policy.mounts import SOURCES, mount
from confidential_summarizer.policy.settings import PolicySettings, parse_fragment
from confidential_summarizer.policy.text import render

_SERVICE_VALUE = ("THIM_ENDPOINT", "===CONFIDENTIAL.THIM.ENDPOINT===")
"""A value that the service replaces by an address of its own."""

_NO_FRAGMENTS = "Annotate-zero-sidecar"
"""A tag that tells the service, and so the policy, to leave its own fragment out."""

Json = Mapping[str, Any]


def container_group_policy(group: Json, images: Mapping[str, MeasuredImage], settings: PolicySettings) -> Policy:
    """Write the policy for a container group exactly as it is deployed.

    Args:
        group: The resource, with `properties`; names of properties are compared without regard to case, as the service
            does.
        images: What was measured, by image reference as the group writes it.
        settings: How to write the policy.

    Raises:
        PolicyError: The group cannot be described by a policy; the message names the container and the field.
    """
    return render(container_group_document(group, images, settings))


def container_group_document(
    group: Json, images: Mapping[str, MeasuredImage], settings: PolicySettings
) -> PolicyDocument:
    """As `container_group_policy`, before it becomes text."""
    properties = get(group, "properties") or {}
    volumes = {str(get(volume, "name")): volume for volume in get(properties, "volumes") or ()}
    specs = [_container(container, volumes, settings) for container in group_containers(group)]
    rules = [container_rules(spec, images, settings) for spec in specs]
    if str(get(get(group, "tags") or {}, _NO_FRAGMENTS)).lower() == "true":
        settings = replace(settings, exclude_default_fragments=True, infrastructure_svn=None)
    confidential = get(properties, "confidentialComputeProperties") or {}
    fragments = [_fragment(entry) for entry in get(confidential, "standaloneFragments") or ()]
    return policy_document(rules, settings, [spec.image for spec in specs], fragments)


def group_containers(group: Json) -> list[Json]:
    """The group's containers, then its init containers.

    Raises:
        PolicyError: There are none, or one has no name or image.
    """
    properties = get(group, "properties") or {}
    containers = [*(get(properties, "containers") or ()), *(get(properties, "initContainers") or ())]
    if not containers:
        raise PolicyError("the container group has no containers: nothing to write a policy for")
    for container in containers:
        image = container_image(container)
        if not isinstance(get(container, "name"), str) or not isinstance(image, str):
            raise PolicyError("every container of the group needs a name and properties.image")
        if isinstance(image, UnknownParameter):
            raise PolicyError(f"the template's {image} has no value: give it in the parameter file")
    return containers


def container_image(container: Json) -> Any:
    """The image reference of one container of a group."""
    return get(get(container, "properties") or {}, "image")


def get(document: Json, name: str) -> Any:
    """A property by its name, without regard to case; the exact name goes first. What is no object has none."""
    if not isinstance(document, Mapping):
        return None
    if name in document:
        return document[name]
    return next((value for key, value in document.items() if str(key).lower() == name.lower()), None)


def _container(container: Json, volumes: Mapping[str, Json], settings: PolicySettings) -> ContainerSpec:
    name, properties = get(container, "name"), get(container, "properties") or {}
    security = {key: get(get(properties, "securityContext") or {}, key) for key in _SECURITY}
    command = get(properties, "command")
    if command is not None and not (isinstance(command, list) and all(isinstance(word, str) for word in command)):
        raise PolicyError(f"container {name}: command must be a list of words")
    unknown = next((word for word in command or () if isinstance(word, UnknownParameter)), None)
    if unknown:
        raise PolicyError(
            f"container {name}: its command takes {unknown}, which has no value: give it in the parameter file"
        )
    sidecar = is_sidecar(container_image(container), settings)
    return ContainerSpec(
        name=name,
        image=container_image(container),
        command=tuple(command) if command else None,
        env=tuple(_environment(name, get(properties, "environmentVariables") or (), settings)),
        injected=INJECTED,
        mounts=tuple(_mounts(name, properties, volumes, sidecar=sidecar)),
        exec_processes=tuple(_exec_processes(properties)),
        security=security,
        seccomp_profile=str(get(get(properties, "securityContext") or {}, "seccompProfile") or ""),
    )


_SECURITY = ("privileged", "allowPrivilegeEscalation", "capabilities", "runAsUser", "runAsGroup")


def _environment(container: str, entries: Iterable[Json], settings: PolicySettings) -> Iterable[EnvRule]:
    for entry in entries:
        name, value = get(entry, "name"), get(entry, "value")
        if value is None:
            value = get(entry, "secureValue")
        if not name or value is None:
            raise PolicyError(f"container {container}: variable {name!r} has no value: give value or secureValue")
        if (name, value) == _SERVICE_VALUE:
            yield wildcard(name)
        elif (name, value) == (SHARD_INDEX, ANY_SHARD):
            yield SHARD
        elif isinstance(value, UnknownParameter):
            if not settings.approve_wildcards:
                raise PolicyError(
                    f"container {container}: variable {name} takes {value}, which has no value: give it in the "
                    "parameter file, or allow any value with --approve-wildcards"
                )
            yield wildcard(name)
        else:
            yield EnvRule(f"{name}={value}")  # a boolean parameter becomes Python's True, as in the Azure tooling


class UnknownParameter(str):
    """A value of a template that refers to a parameter without a value; as text it is the reference."""

    __slots__ = ()


def _mounts(name: str, properties: Json, volumes: Mapping[str, Json], *, sidecar: bool) -> Iterable[MountRule]:
    for entry in get(properties, "volumeMounts") or ():
        volume = volumes.get(str(get(entry, "name")))
        kind = next((key for key in volume if key in SOURCES), None) if volume else None
        path = get(entry, "mountPath")
        if kind is None or not isinstance(path, str):
            raise PolicyError(
                f"container {name}: volume mount {get(entry, 'name')!r} has no path, or no volume of a known kind"
            )
        yield mount(kind, path, read_only=get(entry, "readOnly") in {True, "true"})
    if get(properties, "configMap"):
        yield mount("emptyDir", "/mnt/configmap")
    if not sidecar:
        yield mount("resolvconf", "/etc/resolv.conf")


def _exec_processes(properties: Json) -> Iterable[ExecProcess]:
    for probe in ("readinessProbe", "livenessProbe"):
        command = get(get(get(properties, probe) or {}, "exec") or {}, "command")
        if command:
            yield ExecProcess(tuple(map(str, command)))


def _fragment(entry: Json) -> Fragment:
    return parse_fragment({key: get(entry, key) for key in ("feed", "issuer", "minimum_svn", "includes")})
