"""The CustomResourceDefinitions, generated from the models. `make crds` writes them; a test fails when one is stale.

Run `python -m confidential_summarizer.api.crd FOLDER…` to write them by hand.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from confidential_summarizer.api.grant import GrantSpec
from confidential_summarizer.api.names import (
    GRANT_KIND,
    GRANT_PLURAL,
    GRANT_SHORT_NAME,
    GRANT_SINGULAR,
    GROUP,
    KIND,
    PLURAL,
    SHORT_NAME,
    SINGULAR,
    VERSION,
)
from confidential_summarizer.api.resource import NAME_RULE
from confidential_summarizer.api.rules import Rule, Ruled, ruled_models
from confidential_summarizer.api.spec import Spec
from confidential_summarizer.api.status import Status

HEADER = "# Generated from operator/confidential_summarizer/api by `make crds`; edit the models, not this file.\n"


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


PRINTER_COLUMNS: list[dict[str, Any]] = [
    {"name": "Ready", "type": "string", "jsonPath": _condition("Ready", "status")},
    {"name": "Reason", "type": "string", "jsonPath": _condition("Ready", "reason")},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.readyReplicas"},
    {"name": "Documents", "type": "string", "jsonPath": ".status.batch.documents"},
    {"name": "Policy", "type": "string", "jsonPath": ".status.policy"},
    {"name": "Endpoint", "type": "string", "jsonPath": ".status.endpoint"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Target", "type": "string", "jsonPath": ".status.target", "priority": 1},
    {"name": "Key", "type": "string", "jsonPath": _condition("KeyReleasable", "reason"), "priority": 1},
    {"name": "Attested", "type": "string", "jsonPath": _condition("Attested", "status"), "priority": 1},
    {"name": "Shards", "type": "string", "jsonPath": ".status.batch.shards", "priority": 1},
    {"name": "Done By", "type": "string", "jsonPath": ".status.batch.estimatedCompletionTime", "priority": 1},
    {"name": "Message", "type": "string", "jsonPath": _condition("Ready", "message"), "priority": 1},
]

KEPT_KEYWORDS = frozenset(
    {
        "type", "description", "default", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength",
        "minItems", "maxItems", "maxProperties", "required", "properties", "items", "additionalProperties",
    }
)  # fmt: skip
"""JSON schema keywords that a structural schema knows; pydantic's others (title, $defs, const) are dropped."""


GRANT_COLUMNS: list[dict[str, Any]] = [
    {"name": "Namespaces", "type": "string", "jsonPath": ".spec.namespaces.names"},
    {"name": "Labels", "type": "string", "jsonPath": ".spec.namespaces.matchLabels"},
    {"name": "Vaults", "type": "string", "jsonPath": ".spec.vaults"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Identities", "type": "string", "jsonPath": ".spec.identities", "priority": 1},
    {"name": "Resource Groups", "type": "string", "jsonPath": ".spec.resourceGroups", "priority": 1},
    {"name": "Registries", "type": "string", "jsonPath": ".spec.registries", "priority": 1},
]


def summarizer_definition() -> dict[str, Any]:
    """Return the CRD of ConfidentialSummarizer as the API server takes it."""
    status = structural_schema(Status)
    # Flux's convention: a fresh object must not look current to kstatus before the operator has seen it.
    status["default"] = {"observedGeneration": -1}
    version = {
        "additionalPrinterColumns": PRINTER_COLUMNS,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    }
    names = {"kind": KIND, "plural": PLURAL, "singular": SINGULAR, "shortNames": [SHORT_NAME], "categories": ["all"]}
    description = "A summarizer of sealed text that runs in an attested confidential container group."
    parts = {"spec": structural_schema(Spec), "status": status}
    return _definition("Namespaced", names, version, description, parts, [NAME_RULE])


def grant_definition() -> dict[str, Any]:
    """Return the CRD of SummarizerGrant as the API server takes it."""
    names = {
        "kind": GRANT_KIND,
        "plural": GRANT_PLURAL,
        "singular": GRANT_SINGULAR,
        "shortNames": [GRANT_SHORT_NAME],
    }
    description = (
        "What the summarizers of some namespaces may use outside of their namespace. What no grant names is not "
        "touched; several grants add up."
    )
    parts = {"spec": structural_schema(GrantSpec)}
    return _definition("Cluster", names, {"additionalPrinterColumns": GRANT_COLUMNS}, description, parts)


DEFINITIONS: Mapping[str, Callable[[], dict[str, Any]]] = {
    f"{PLURAL}.yaml": summarizer_definition,
    f"{GRANT_PLURAL}.yaml": grant_definition,
}
"""Every CRD by the name of its file."""


def _definition(
    scope: str,
    names: Mapping[str, Any],
    version: Mapping[str, Any],
    description: str,
    parts: Mapping[str, Any],
    rules: Sequence[Rule] = (),
) -> dict[str, Any]:
    kind = names["kind"]
    properties = {
        "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
        "kind": {"type": "string", "description": kind},
        "metadata": {"type": "object"},
        **parts,
    }
    schema: dict[str, Any] = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": properties,
    }
    if rules:
        schema["x-kubernetes-validations"] = [rule.schema() for rule in rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Helm must not remove it with the chart: deleting a CRD deletes every resource of it.
        "metadata": {"name": f"{names['plural']}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {**names, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    **version,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def structural_schema(model: type[Ruled]) -> dict[str, Any]:
    """Return a model's schema in the form that CRDs demand: no references, no titles, no null types."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.get("$defs", {})
    validations = {m.__name__: [rule.schema() for rule in m.rules()] for m in ruled_models(model)}
    return _structural(schema, definitions, validations, title=model.__name__)


def _structural(
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    validations: Mapping[str, list[dict[str, str]]],
    title: str = "",
) -> dict[str, Any]:
    schema = dict(schema)
    if "anyOf" in schema:  # Optional: `X | None` is `X`, absent
        schema |= next(option for option in schema.pop("anyOf") if option.get("type") != "null")
        schema.pop("default", None)
    if "$ref" in schema:
        title = schema.pop("$ref").rsplit("/", 1)[1]
        schema = {**definitions[title], **schema}
    kept = {key: value for key, value in schema.items() if key in KEPT_KEYWORDS or key.startswith("x-kubernetes-")}
    if "properties" in kept:
        kept["properties"] = {
            name: _structural(value, definitions, validations) for name, value in kept["properties"].items()
        }
        kept.pop("additionalProperties", None)
    if isinstance(kept.get("additionalProperties"), Mapping):
        kept["additionalProperties"] = _structural(kept["additionalProperties"], definitions, validations)
    if "items" in kept:
        kept["items"] = _structural(kept["items"], definitions, validations)
    if validations.get(title):
        kept["x-kubernetes-validations"] = validations[title]
    return kept


def render(definition: Mapping[str, Any]) -> str:
    """Return a CRD as YAML, the same bytes on every machine."""
    return HEADER + yaml.safe_dump(dict(definition), sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        for name, definition in DEFINITIONS.items():
            (Path(folder) / name).write_text(render(definition()), encoding="utf-8")
