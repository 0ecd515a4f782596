"""The policy of containers that are described by themselves: the JSON that `az confcom acipolicygen --input` takes.

Two forms: version 1 names a container's `properties` as an ARM template does; version 0 is flat, with `containerImage`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.container import ContainerSpec, container_rules, policy_document
from confidential_summarizer.policy.container_group import get
from confidential_summarizer.policy.document import EnvRule, ExecProcess, Fragment, MountRule, Policy
from confidential_summarizer.policy.environment import INJECTED, SERVICE_LINKS, WORKLOAD_IDENTITY
from confidential_summarizer.policy.mounts import SOURCES, mount
from confidential_summarizer.policy.settings import PolicySettings, parse_fragment
from confidential_summarizer.policy.shape import DEFINITIONS, check_shape
from confidential_summarizer.policy.text import render
from confidential_summarizer.policy.virtual_node import IDENTITY_LABEL, IDENTITY_MOUNT, NODE_MOUNTS

_VIRTUAL_NODE = "vn2"
"""The scenario of a virtual node; anything else is a container group."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Definitions:
    """Containers described by themselves.

    Attributes:
        containers: Name, image and `properties` in the form of version 1.
        fragments: Acceptable fragments that the file names; they come before the service's own.
        virtual_node: Whether the containers run as a pod on a virtual node.
        workload_identity: Whether the pod has the label of workload identity.
    """

    containers: tuple[Json, ...]
    fragments: tuple[Fragment, ...] = ()
    virtual_node: bool = False
    workload_identity: bool = False

    @classmethod
    def parse(cls, document: Json) -> "Definitions":
        """Read either version.

        Raises:
            PolicyError: A container has no image, or a field is not of its type.
        """
        check_shape(document, DEFINITIONS, "the input")
        entries = get(document, "containers")
        if not entries:
            raise PolicyError("the input has no list of containers: nothing to write a policy for")
        flat = get(entries[0], "containerImage") is not None
        containers = tuple(_upgraded(entry) if flat else entry for entry in entries)
        for container in containers:
            if not isinstance(get(get(container, "properties") or {}, "image"), str):
                raise PolicyError(f"container {get(container, 'name')!r} needs properties.image")
        named = [*(get(document, "fragments") or ()), *(get(document, "standaloneFragments") or ())]
        labels = get(document, "labels") or {}
        return cls(
            containers,
            tuple(parse_fragment(entry) for entry in named),
            str(get(document, "scenario")).lower() == _VIRTUAL_NODE,
            str(labels.get(IDENTITY_LABEL)).lower() == "true",
        )

    @classmethod
    def of_images(cls, references: Iterable[str]) -> "Definitions":
        """Containers of which nothing is known but their images."""
        return cls(tuple({"name": reference, "properties": {"image": reference}} for reference in references))

    @property
    def references(self) -> list[str]:
        """The image of each container."""
        return [str(get(container["properties"], "image")) for container in self.containers]

    def policy(self, images: Mapping[str, MeasuredImage], settings: PolicySettings) -> Policy:
        """Write the policy.

        Raises:
            PolicyError: A container cannot be described by a policy; the message names the container and the field.
        """
        if self.fragments:
            defaults = () if settings.exclude_default_fragments else settings.constants.fragments
            settings = replace(
                settings, exclude_default_fragments=True, fragments=(*self.fragments, *defaults, *settings.fragments)
            )
        rules = [container_rules(self._spec(container), images, settings) for container in self.containers]
        return render(policy_document(rules, settings, self.references))

    def _spec(self, container: Json) -> ContainerSpec:
        properties = get(container, "properties") or {}
        name = str(get(container, "name") or get(properties, "image"))
        command = get(properties, "command")
        if command is not None and not (isinstance(command, list) and all(isinstance(word, str) for word in command)):
            raise PolicyError(f"container {name}: command must be a list of words")
        identity = self.virtual_node and self.workload_identity
        own = tuple(_variable(name, entry) for entry in get(properties, "environmentVariables") or ())
        mounts = tuple(_mount(name, entry) for entry in get(properties, "volumeMounts") or ())
        if get(properties, "configMap"):
            mounts += (mount("emptyDir", "/mnt/configmap"),)
        return ContainerSpec(
            name=name,
            image=str(get(properties, "image")),
            command=tuple(command) if command else None,
            env=(*(WORKLOAD_IDENTITY if identity else ()), *own),
            injected=(*INJECTED, *(SERVICE_LINKS if self.virtual_node else ())),
            mounts=(
                *((IDENTITY_MOUNT,) if identity else ()),
                *mounts,
                *(NODE_MOUNTS if self.virtual_node else (mount("resolvconf", "/etc/resolv.conf"),)),
            ),
            exec_processes=tuple(_commands(properties)),
            security=get(properties, "securityContext") or {},
            seccomp_profile=str(get(get(properties, "securityContext") or {}, "seccompProfile") or ""),
            working_dir=get(properties, "workingDir"),
        )


def _upgraded(container: Json) -> Json:
    """A container of version 0 in the form of version 1."""
    image = get(container, "containerImage")
    variables = [
        {"name": get(e, "name"), "value": get(e, "value"), "regex": get(e, "strategy") == "re2"}
        for e in get(container, "environmentVariables") or ()
    ]
    mounts = [
        {
            "mountType": get(entry, "mountType"),
            "mountPath": get(entry, "mountPath"),
            "readOnly": True if get(entry, "readOnly") is None else get(entry, "readOnly"),
        }
        for entry in get(container, "mounts") or ()
    ]
    security = dict(get(container, "securityContext") or {})
    if (elevated := get(container, "allow_elevated")) is not None:
        security.setdefault("privileged", elevated)
    names = ("command", "workingDir", "execProcesses", "livenessProbe", "readinessProbe")
    kept = {name: get(container, name) for name in names if get(container, name)}
    properties = {**kept, "image": image, "environmentVariables": variables, "volumeMounts": mounts}
    return {"name": get(container, "name") or image, "properties": {**properties, "securityContext": security}}


def _variable(container: str, entry: Json) -> EnvRule:
    name, value = get(entry, "name"), get(entry, "value")
    if value is None:
        value = get(entry, "secureValue")
    if not name or value is None:
        raise PolicyError(f"container {container}: variable {name!r} has no value: give value or secureValue")
    return EnvRule(f"{name}={value}", "re2" if get(entry, "regex") in {True, "true"} else "string")


def _mount(container: str, entry: Json) -> MountRule:
    kind, path, options = get(entry, "mountType"), get(entry, "mountPath"), get(entry, "options")
    if kind not in SOURCES or not isinstance(path, str):
        raise PolicyError(f"container {container}: a mount needs mountPath and a mountType of {', '.join(SOURCES)}")
    rule = mount(str(kind), path, read_only=get(entry, "readOnly") in {True, "true"})
    return replace(rule, options=tuple(map(str, options))) if options else rule


def _commands(properties: Json) -> Iterable[ExecProcess]:
    listed = [get(entry, "command") for entry in get(properties, "execProcesses") or ()]
    probes = [get(get(properties, probe) or {}, "exec") or {} for probe in ("readinessProbe", "livenessProbe")]
    for command in (*listed, *(get(probe, "command") for probe in probes)):
        if command:
            yield ExecProcess(tuple(map(str, command)))
