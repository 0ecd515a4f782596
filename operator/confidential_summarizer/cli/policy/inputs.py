"""Files that policies are written for: a ConfidentialSummarizer, an ARM template or resource, a Kubernetes manifest."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from confidential_summarizer.api.names import KIND
from confidential_summarizer.errors import PolicyError
from confidential_summarizer.measurement.image import Measure, MeasuredImage
from confidential_summarizer.policy.arm_template import container_groups, existing_policies, set_policies
from confidential_summarizer.policy.container_group import (
    container_group_policy,
    container_image,
    get,
    group_containers,
)
from confidential_summarizer.policy.definitions import Definitions
from confidential_summarizer.policy.document import Policy, PolicyDocument
from confidential_summarizer.policy.lint import Finding, lint_capability_names
from confidential_summarizer.policy.manifests import Workload, read_documents, workloads, write_documents
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import pod_containers, virtual_node_policy


class Input(Protocol):
    """A file that container groups are deployed from."""

    def names(self) -> list[str]:
        """The container groups, in order."""
        ...

    def references(self) -> list[str]:
        """Every image reference as the file writes it."""
        ...

    def existing(self) -> list[str]:
        """The base64 policy that each container group carries; an empty text where there is none."""
        ...

    def findings(self) -> Iterable[Finding]:
        """What there is to say about the file itself."""
        ...

    async def policies(self, measure: Measure, settings: PolicySettings) -> list[Policy]:
        """Write the policy of each container group."""
        ...

    def with_policies(self, policies: Sequence[Policy]) -> str:
        """The file's text with these policies put in."""
        ...


@dataclass(frozen=True)
class ArmInput:
    """An ARM template with its parameters, or one container group as a resource."""

    document: dict[str, Any]
    template: dict[str, Any]
    parameters: Mapping[str, Any]

    def names(self) -> list[str]:
        """The container groups, in order."""
        return [str(group.get("name", "container group")) for group in self._groups()]

    def references(self) -> list[str]:
        """Every image reference, parameters put in."""
        return [container_image(container) for group in self._groups() for container in group_containers(group)]

    def existing(self) -> list[str]:
        """The base64 policy that each container group carries."""
        return existing_policies(self.template)

    def findings(self) -> Iterable[Finding]:
        """Capability names without their prefix."""
        for group in self._groups():
            for container in group_containers(group):
                security = get(get(container, "properties") or {}, "securityContext") or {}
                yield from lint_capability_names(str(get(container, "name")), security)

    async def policies(self, measure: Measure, settings: PolicySettings) -> list[Policy]:
        """Write the policy of each container group."""
        images = await _measured(self.references(), measure)
        return [container_group_policy(group, images, settings) for group in self._groups()]

    def with_policies(self, policies: Sequence[Policy]) -> str:
        """The file's text with these policies put in."""
        set_policies(self.template, [policy.base64 for policy in policies])
        return json.dumps(self.document, indent=2, ensure_ascii=False) + "\n"

    def _groups(self) -> list[dict[str, Any]]:
        return container_groups(self.template, self.parameters)


@dataclass(frozen=True)
class DefinitionsInput:
    """Containers described by themselves, or images alone: there is nothing to put a policy into."""

    definitions: Definitions

    def names(self) -> list[str]:
        """One group without a name."""
        return ["containers"]

    def references(self) -> list[str]:
        """Every image reference."""
        return self.definitions.references

    def existing(self) -> list[str]:
        """None."""
        return [""]

    def findings(self) -> Iterable[Finding]:
        """Nothing."""
        return ()

    async def policies(self, measure: Measure, settings: PolicySettings) -> list[Policy]:
        """Write the one policy."""
        return [self.definitions.policy(await _measured(self.references(), measure), settings)]

    def with_policies(self, policies: Sequence[Policy]) -> str:
        """The policy in base64: that is all there is to write."""
        return "".join(f"{policy.base64}\n" for policy in policies)


def read_definitions(path: Path) -> DefinitionsInput:
    """Read what `--input` names.

    Raises:
        PolicyError: It is no JSON object with containers.
    """
    return DefinitionsInput(Definitions.parse(_object(path, str(path))))


@dataclass(frozen=True)
class ManifestInput:
    """A Kubernetes manifest."""

    text: str
    documents: list[dict[str, Any]]
    found: list[Workload]

    def names(self) -> list[str]:
        """The workloads, in order."""
        return [workload.name for workload in self.found]

    def references(self) -> list[str]:
        """Every image reference."""
        return [str(item["image"]) for workload in self.found for item in pod_containers(workload.pod)]

    def existing(self) -> list[str]:
        """The base64 policy that each pod carries."""
        return [workload.policy for workload in self.found]

    def findings(self) -> Iterable[Finding]:
        """Capability names without their prefix."""
        for workload in self.found:
            for container in pod_containers(workload.pod):
                yield from lint_capability_names(str(container["name"]), container.get("securityContext") or {})

    async def policies(self, measure: Measure, settings: PolicySettings) -> list[Policy]:
        """Write the policy of each workload."""
        images = await _measured(self.references(), measure)
        return [virtual_node_policy(workload.pod, images, settings, self.documents) for workload in self.found]

    def with_policies(self, policies: Sequence[Policy]) -> str:
        """The file's text with these policies put in; comments stay."""
        for workload, policy in zip(self.found, policies, strict=True):
            workload.set_policy(policy.base64)
        return write_documents(self.documents, self.text)


@dataclass(frozen=True)
class ResourceInput:
    """A ConfidentialSummarizer: its policy is the operator's, so settings of the command line do not count."""

    path: Path

    def names(self) -> list[str]:
        """The resource's name."""
        return [self._resource().metadata.name]

    def references(self) -> list[str]:
        """The images of the containers that the operator would deploy."""
        from confidential_summarizer.blueprint import image_references

        return list(image_references(self._resource()).values())

    def existing(self) -> list[str]:
        """None: the resource carries no policy."""
        return [""]

    def findings(self) -> Iterable[Finding]:
        """Nothing: the operator writes the manifest."""
        return ()

    async def policies(self, measure: Measure, settings: PolicySettings) -> list[Policy]:
        """Derive the policy as the operator does."""
        from confidential_summarizer.targets.derive import derive, measure_images

        resource = self._resource()
        images = await measure_images(resource, measure, {})
        return [derive(resource, images).policy]

    def with_policies(self, policies: Sequence[Policy]) -> str:
        """Refused: the operator puts the policy in.

        Raises:
            PolicyError: Always.
        """
        raise PolicyError(
            f"{self.path}: the operator writes the policy of a {KIND} itself; use --print-policy or --outraw"
        )

    def _resource(self) -> Any:
        from confidential_summarizer.cli.render import read_resource

        return read_resource(self.path)


def read_input(path: Path, parameters: Path | None = None) -> Input:
    """Tell by its content what a file is.

    Raises:
        PolicyError: It is none of the forms that policies are written for.
    """
    text = _text(path)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and "kind" not in document:
        template = document if "resources" in document else {"resources": [document]}
        return ArmInput(document, template, _parameters(parameters))
    documents = read_documents(text)
    if any(item.get("kind") == KIND for item in documents):
        return ResourceInput(path)
    found = workloads(documents)
    if not found:
        raise PolicyError(f"{path} holds no {KIND}, no ARM container group and no Kubernetes workload")
    return ManifestInput(text, documents, found)


def read_policy(text: str) -> tuple[Policy, PolicyDocument]:
    """Read a policy given as its text or as base64.

    Raises:
        PolicyError: It is neither.
    """
    if not text.lstrip().startswith("package "):
        try:
            text = base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise PolicyError("not a policy: neither its text, which begins with 'package', nor base64 of it") from None
    # A trailing newline is the shell's or the editor's; the text itself never ends in one.
    policy = Policy(text.rstrip("\n") if text.endswith("\n") else text)
    return policy, parse_policy(policy.text)


def read_policies(path: Path) -> list[tuple[str, Policy, PolicyDocument]]:
    """The policies in a file: one by itself, or those that the workloads of a manifest or template carry.

    Raises:
        PolicyError: There is none.
    """
    text = _text(path)
    if text.lstrip().startswith(("package ", "cGFja2FnZS")):
        return [(str(path), *read_policy(text))]
    subject = read_input(path)
    found = [
        (name, *read_policy(policy)) for name, policy in zip(subject.names(), subject.existing(), strict=True) if policy
    ]
    if not found:
        raise PolicyError(
            f"{path} carries no policy: `csum policy generate` writes one into it, and with --print-policy prints "
            "the one that the operator will write for a ConfidentialSummarizer"
        )
    return found


async def _measured(references: Iterable[str], measure: Measure) -> dict[str, MeasuredImage]:
    return {reference: await measure(reference) for reference in dict.fromkeys(references)}


def _parameters(path: Path | None) -> dict[str, Any]:
    return {} if path is None else _object(path, f"the parameter file {path}")


def _object(path: Path, subject: str) -> dict[str, Any]:
    try:
        document = json.loads(_text(path))
    except ValueError as error:
        raise PolicyError(f"{subject} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PolicyError(f"{subject} is no JSON object")
    return document


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path} cannot be read as text: {error}") from error
