"""What is allowed but will surprise somebody: layers that hosts hash differently, tags that move, values left open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from confidential_summarizer.errors import ImageError
from confidential_summarizer.measurement.layer import MeasuredLayer
from confidential_summarizer.policy.capabilities import PRIVILEGED
from confidential_summarizer.policy.description import is_wildcard
from confidential_summarizer.policy.document import ContainerRules, PolicyDocument
from confidential_summarizer.registry import ImageReference

Severity = Literal["warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing, and what to do about it; `rule` is its stable name."""

    rule: str
    severity: Severity
    subject: str
    message: str
    remedy: str


def lint_layers(image: str, layers: Iterable[MeasuredLayer]) -> Iterable[Finding]:
    """Layers that the service's hosts may treat otherwise than the reference."""
    for number, layer in enumerate(layers):
        subject = f"{image}, layer {number} ({layer.diff_id})"
        if layer.missing_parents:
            shown = ", ".join(layer.examples[:2])
            yield Finding(
                "missing-parent",
                "warning",
                subject,
                f"{layer.missing_parents} entries come without an entry for their directory (such as {shown}); hosts "
                "with a converter from before September 2024 give it the current time, so the layer never matches",
                "rebuild the layer with a tool that writes every directory, such as buildah or docker",
            )
        if layer.compression == "zstd":
            yield Finding(
                "zstd",
                "warning",
                subject,
                "the layer is compressed with zstd; whether every host takes that is not known",
                "push the image with gzip compression",
            )


def lint_references(images: Iterable[str]) -> Iterable[Finding]:
    """References that may lead to another image tomorrow."""
    for image in dict.fromkeys(images):
        try:
            pinned = ImageReference.parse(image).pinned
        except ImageError:
            continue
        if not pinned:
            yield Finding(
                "tag",
                "warning",
                image,
                "the image is named by a tag, which can move between writing the policy and pulling the image",
                "name the image by digest",
            )


def lint_policy(document: PolicyDocument) -> Iterable[Finding]:
    """What a policy leaves open."""
    if document.allows_debugging:
        yield Finding(
            "debug",
            "warning",
            "policy",
            "the policy opens shells, stack dumps or guest logs: whoever runs the group can read what is in it",
            "write the policy without the debug profile",
        )
    for container in document.containers:
        yield from _lint_container(container)


def _lint_container(container: ContainerRules) -> Iterable[Finding]:
    name = container.name or container.id or "container"
    for rule in container.env_rules:
        if is_wildcard(rule):
            yield Finding(
                "wildcard",
                "warning",
                name,
                f"rule {rule.pattern!r} leaves the value to whoever runs the group",
                "give the variable a fixed value",
            )
    if container.command is None:
        yield Finding(
            "no-command",
            "warning",
            name,
            "neither the manifest nor the image names a command, so the guest can never start the container",
            "give the container a command",
        )
    names = set(container.capabilities.bounding) if container.capabilities else set()
    unknown = sorted(names - set(PRIVILEGED))
    if unknown:
        yield Finding(
            "capability",
            "warning",
            name,
            f"{', '.join(unknown)}: no capability of this name exists, so the guest's list never matches",
            "write capabilities with their prefix, as in CAP_NET_ADMIN",
        )
    if container.allow_elevated:
        yield Finding("privileged", "note", name, "the container is privileged", "keep it so only for the sidecar")


def lint_capability_names(container: str, security: Mapping[str, Any]) -> Iterable[Finding]:
    """Capability names that `az confcom` would copy as they are, and so make a policy that denies."""
    changes = security.get("capabilities") or {}
    short = sorted(
        str(name) for key in ("add", "drop") for name in changes.get(key) or () if not str(name).startswith("CAP_")
    )
    if short:
        yield Finding(
            "capability-prefix",
            "note",
            container,
            f"{', '.join(short)}: understood here; az confcom takes it literally, so its policy denies the start",
            "nothing to do as long as the policy is written by this tool",
        )
