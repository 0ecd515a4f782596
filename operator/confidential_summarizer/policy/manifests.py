"""Kubernetes manifests: the pods in them, with comments and order kept when a policy is put in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.shape import MANIFEST, POD, check_shape
from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION

WORKLOADS = frozenset({"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"})
_LIST_BELOW_KEY = re.compile(r"^(?P<key> *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?P<item> *)- ", re.MULTILINE)
_UNBROKEN = 1 << 30
"""Line width that keeps a policy on one line."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Workload:
    """One workload of a manifest: its document, and its pod as a policy is written for it."""

    document: dict[str, Any]
    pod: Json
    template: dict[str, Any]

    @property
    def name(self) -> str:
        """`Kind/name` for messages."""
        return _subject(self.document)

    @property
    def policy(self) -> str:
        """The base64 policy that the pod carries, or an empty text."""
        return str(((self.template.get("metadata") or {}).get("annotations") or {}).get(POLICY_ANNOTATION) or "")

    def set_policy(self, encoded: str) -> None:
        """Put a base64 policy into the pod's annotations."""
        metadata = self.template.get("metadata")
        if metadata is None:
            metadata = self.template["metadata"] = dict[str, Any]()
        annotations = metadata.get("annotations")
        if annotations is None:
            annotations = metadata["annotations"] = dict[str, Any]()
        annotations[POLICY_ANNOTATION] = encoded


def read_documents(text: str) -> list[dict[str, Any]]:
    """The documents of a manifest, with their comments.

    Raises:
        PolicyError: The text is no YAML, or a document is no object.
    """
    try:
        documents = [document for document in _yaml().load_all(text) if document is not None]
    except YAMLError as error:
        raise PolicyError(f"the manifest is not YAML: {error}") from error
    if not all(isinstance(document, dict) for document in documents):
        raise PolicyError("a document of the manifest is no object")
    return documents


def write_documents(documents: Iterable[Json], original: str) -> str:
    """The documents as text again; comments, order and indentation stay as in the original text."""
    yaml = _yaml()
    listed = _LIST_BELOW_KEY.search(original)
    offset = len(listed.group("item")) - len(listed.group("key")) if listed else 0
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    stream = StringIO()
    yaml.dump_all(list(documents), stream)
    return stream.getvalue()


def workloads(documents: Iterable[dict[str, Any]]) -> list[Workload]:
    """The workloads among the documents, in order; a `List` is looked into.

    Raises:
        PolicyError: A workload has no pod in it, or none that could be one.
    """
    found = []
    for document in documents:
        check_shape(document, MANIFEST, _subject(document))
        if document.get("kind") == "List":
            found += workloads(item for item in document.get("items") or () if isinstance(item, dict))
        elif str(document.get("kind")) in WORKLOADS:
            template = _pod_template(document)
            pod = dict(template)
            claims = (document.get("spec") or {}).get("volumeClaimTemplates")
            if claims:
                pod["volumeClaimTemplates"] = claims
            check_shape(pod, POD, f"the pod of {_subject(document)}")
            found.append(Workload(document, pod, template))
    return found


def _subject(document: Json) -> str:
    metadata = document.get("metadata")
    return f"{document.get('kind')}/{metadata.get('name') if isinstance(metadata, dict) else None}"


def _pod_template(document: dict[str, Any]) -> dict[str, Any]:
    """The first object on the way down whose `spec` has containers."""
    current: Any = document
    while isinstance(current, dict):
        spec = current.get("spec")
        if not isinstance(spec, dict):
            break
        if "containers" in spec:
            return current
        current = spec.get("jobTemplate") or spec.get("template")
    raise PolicyError(f"{_subject(document)} has no pod with containers")


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _UNBROKEN
    return yaml
