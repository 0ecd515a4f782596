"""The variables of a pod's container: literal, from ConfigMaps and Secrets beside it, or known only at the start."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.document import EnvRule
from confidential_summarizer.policy.environment import SHARD, wildcard
from confidential_summarizer.policy.expansion import expand

Json = Mapping[str, Any]
_SERVICE_VALUE = re.compile(r"===VIRTUALNODE2\.CC\.THIM\.(.+)===")
"""Values that the service replaces by an address of its own; inside a longer value the text stays as it is."""


@dataclass(frozen=True)
class Sources:
    """ConfigMaps and Secrets by name, and whether a value that is not among them may be anything."""

    config_maps: Mapping[str, Json]
    secrets: Mapping[str, Json]
    approve_wildcards: bool

    @classmethod
    def collect(cls, documents: Iterable[Json], *, approve_wildcards: bool) -> "Sources":
        """Pick the ConfigMaps and Secrets out of the documents of a manifest."""
        by_kind: dict[str, dict[str, Json]] = {"ConfigMap": {}, "Secret": {}}
        for document in documents:
            if document.get("kind") in by_kind:
                by_kind[document["kind"]][str((document.get("metadata") or {}).get("name"))] = document
        return cls(by_kind["ConfigMap"], by_kind["Secret"], approve_wildcards)

    def config_map_data(self, name: str) -> dict[str, str] | None:
        """The values of a ConfigMap, binary ones as text; None if it is not known."""
        document = self.config_maps.get(name)
        if document is None:
            return None
        return _decoded(document.get("binaryData"), name) | _texts(document.get("data"))

    def secret_data(self, name: str) -> dict[str, str] | None:
        """The values of a Secret, decoded; None if it is not known."""
        document = self.secrets.get(name)
        if document is None:
            return None
        return _decoded(document.get("data"), name) | _texts(document.get("stringData"))


def environment(container: Json, sources: Sources) -> tuple[EnvRule, ...]:
    """One rule for each variable, in order; those of `envFrom` follow, unless `env` sets them itself.

    Raises:
        PolicyError: A value is not known, or not allowed to be open.
    """
    rules: list[EnvRule] = []
    for entry in container.get("env") or ():
        rules.append(_variable(container, entry, sources, rules))
    own = {rule.name for rule in rules}
    imported: dict[str, EnvRule] = {}
    for entry in container.get("envFrom") or ():
        for name, value in _imported(container, entry, sources).items():
            imported[name] = EnvRule(f"{name}={value}")
    return (*rules, *(rule for name, rule in imported.items() if name not in own))


def _variable(container: Json, entry: Json, sources: Sources, before: Sequence[EnvRule]) -> EnvRule:
    name = str(entry.get("name") or "")
    subject = f"container {container['name']}: env {name}"
    if not name:
        raise PolicyError(f"container {container['name']}: an env entry has no name")
    reference = entry.get("valueFrom")
    if not reference:
        value = entry.get("value")
        text = "" if value is None else str(value)
        return wildcard(name) if _SERVICE_VALUE.fullmatch(text) else EnvRule(f"{name}={expand(text, before, subject)}")
    if "fieldRef" in reference:
        return SHARD if name == SHARD.name else wildcard(name)
    if "resourceFieldRef" in reference:
        return EnvRule(f"{name}={_resource(container, reference['resourceFieldRef'], subject)}")
    if "configMapKeyRef" in reference:
        return _referred(name, reference["configMapKeyRef"], "ConfigMap", sources.config_map_data, sources, subject)
    if "secretKeyRef" in reference:
        return _referred(name, reference["secretKeyRef"], "Secret", sources.secret_data, sources, subject)
    raise PolicyError(f"{subject}: valueFrom holds none of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef")


def _referred(
    name: str,
    reference: Json,
    kind: str,
    data_of: Callable[[str], dict[str, str] | None],
    sources: Sources,
    subject: str,
) -> EnvRule:
    data = data_of(str(reference.get("name")))
    key = str(reference.get("key"))
    if data is not None and key in data:
        return EnvRule(f"{name}={data[key]}")
    if sources.approve_wildcards:
        return wildcard(name)
    raise PolicyError(
        f"{subject}: {kind} {reference.get('name')!r} with key {key!r} is not in the same file: add it, or allow any "
        "value with --approve-wildcards"
    )


def _imported(container: Json, entry: Json, sources: Sources) -> dict[str, str]:
    prefix = str(entry.get("prefix") or "")
    for field, kind, data_of in (
        ("configMapRef", "ConfigMap", sources.config_map_data),
        ("secretRef", "Secret", sources.secret_data),
    ):
        if field in entry:
            data = data_of(str(entry[field].get("name")))
            if data is None:
                raise PolicyError(
                    f"container {container['name']}: envFrom needs {kind} {entry[field].get('name')!r} in the same "
                    "file: its keys are the variables' names"
                )
            return {prefix + key: value for key, value in data.items()}
    raise PolicyError(f"container {container['name']}: envFrom holds neither configMapRef nor secretRef")


def _resource(container: Json, reference: Json, subject: str) -> str:
    other = reference.get("containerName")
    if other and other != container["name"]:
        raise PolicyError(f"{subject}: a resource of another container cannot be pinned: give the value itself")
    group, _, resource = str(reference.get("resource")).partition(".")
    value = ((container.get("resources") or {}).get(group) or {}).get(resource)
    if value is None:
        raise PolicyError(f"{subject}: the container has no resources.{group}.{resource}")
    return str(value)


def _texts(data: Json | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (data or {}).items()}


def _decoded(data: Json | None, subject: str) -> dict[str, str]:
    try:
        return {str(key): base64.b64decode(str(value), validate=True).decode() for key, value in (data or {}).items()}
    except (binascii.Error, UnicodeDecodeError):
        raise PolicyError(
            f"the data of {subject!r} are not base64 of UTF-8 text: they cannot be a variable's value"
        ) from None
