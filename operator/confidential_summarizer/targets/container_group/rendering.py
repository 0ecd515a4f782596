"""Render a blueprint as container groups for Azure Resource Manager. Pure.

The shape is that of Microsoft.ContainerInstance/containerGroups 2023-05-01, the first stable version with the
Confidential SKU and security contexts.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from confidential_summarizer.api.quantity import GB, parse_quantity
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.target import ContainerGroup
from confidential_summarizer.azure.versions import CONTAINER_GROUPS as API_VERSION
from confidential_summarizer.blueprint import READINESS_PERIOD_SECONDS, REMOTE_PATH, REMOTE_VOLUME, Blueprint, Container
from confidential_summarizer.errors import SpecError
from confidential_summarizer.policy.capabilities import all_but
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.registry import ImageReference
from confidential_summarizer.registry.reference import DEFAULT_REGISTRY
from confidential_summarizer.targets.ownership import TAG_PREFIX, tags_of

RESOURCE_TYPE = "Microsoft.ContainerInstance/containerGroups"

PUBLIC_REGISTRIES = frozenset({"mcr.microsoft.com", DEFAULT_REGISTRY, "ghcr.io", "quay.io"})
"""Registries that know no identity of Azure; whatever else an image comes from is asked with it."""

HOST_DATA_TAG = f"{TAG_PREFIX}host-data"
"""SHA-256 of the policy, for people in the portal."""
BODY_TAG = f"{TAG_PREFIX}body"
"""SHA-256 of what we sent, credentials and tags left out: tells our own changes from somebody else's."""

CREATED_TAG = f"{TAG_PREFIX}created"
"""When the group was made (RFC 3339)."""


def render(blueprint: Blueprint, resource: ConfidentialSummarizer) -> dict[str, Any]:
    """Return the body of a group, the same for every replica, still without a policy.

    Raises:
        SpecError: The resource has no containerGroup target, or pulls images in a way that ARM does not know.
    """
    target = resource.spec.target.container_group
    if target is None:
        raise SpecError(f"{resource.key} has no containerGroup target")
    identities: dict[str, Any] = {blueprint.identity: {}} | _pull_identity(resource)
    group: dict[str, Any] = {
        "type": RESOURCE_TYPE,
        "apiVersion": API_VERSION,
        "location": target.location,
        "tags": tags_of(resource.metadata),
        "identity": {"type": "UserAssigned", "userAssignedIdentities": identities},
        "properties": {
            "sku": "Confidential",
            "osType": "Linux",
            # A new group for each try of a shard: the sidecar cannot mount a second time in the same one.
            "restartPolicy": "Always" if blueprint.batch is None else "Never",
            "confidentialComputeProperties": {"ccePolicy": ""},
            "containers": [_container(container) for container in blueprint.containers],
            "volumes": [{"name": REMOTE_VOLUME, "emptyDir": {}}],
            **_network(blueprint, target),
            **_registry_identity(blueprint, resource),
        },
    }
    if target.zones:
        group["zones"] = list(target.zones)
    return group


def with_policy(manifest: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """Return the group with the policy that it is to be held to."""
    confidential = {"confidentialComputeProperties": {"ccePolicy": policy.base64}}
    group = {**manifest, "properties": {**manifest["properties"], **confidential}}
    return {**group, "tags": {**manifest["tags"], HOST_DATA_TAG: policy.host_data, BODY_TAG: _digest(group)}}


def _digest(group: Mapping[str, Any]) -> str:
    content = {key: value for key, value in group.items() if key != "tags"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _pull_identity(resource: ConfidentialSummarizer) -> dict[str, dict[str, str]]:
    credentials = resource.spec.registry_credentials
    return {credentials.identity: {}} if credentials is not None and credentials.identity else {}


def _registry_identity(blueprint: Blueprint, resource: ConfidentialSummarizer) -> dict[str, Any]:
    """Let Resource Manager pull with an identity; a pull secret is added when the group is sent (`credentials`)."""
    credentials = resource.spec.registry_credentials
    if credentials is None or credentials.identity is None:
        return {}
    registries = {ImageReference.parse(container.image).registry for container in blueprint.containers}
    private = sorted(registry for registry in registries if registry not in PUBLIC_REGISTRIES)
    return {"imageRegistryCredentials": [{"server": server, "identity": credentials.identity} for server in private]}


def _network(blueprint: Blueprint, target: ContainerGroup) -> dict[str, Any]:
    ports = [{"port": port, "protocol": "TCP"} for container in blueprint.containers for port in container.ports]
    if target.subnet_ids:
        return {
            "ipAddress": {"type": "Private", "ports": ports},
            "subnetIds": [{"id": subnet} for subnet in target.subnet_ids],
        }
    address: dict[str, Any] = {"type": "Public", "ports": ports}
    if target.dns_name_label:
        address |= {"dnsNameLabel": target.dns_name_label, "autoGeneratedDomainNameLabelScope": "TenantReuse"}
    return {"ipAddress": address}


def _container(container: Container) -> dict[str, Any]:
    size = {
        "cpu": float(parse_quantity(container.cpu)),
        "memoryInGB": float((parse_quantity(container.memory) / GB).quantize(Decimal("0.1"))),
    }
    properties: dict[str, Any] = {
        "image": container.image,
        "environmentVariables": [{"name": n, "value": v} for n, v in sorted(container.environment.items())],
        "resources": {"requests": size},
        "securityContext": _security_context(container),
        "volumeMounts": [{"name": REMOTE_VOLUME, "mountPath": REMOTE_PATH, "readOnly": False}],
    }
    if container.command:
        properties["command"] = list(container.command)
    if container.ports:
        properties["ports"] = [{"port": port, "protocol": "TCP"} for port in container.ports]
    if container.readiness_path:
        properties["readinessProbe"] = {
            "httpGet": {"path": container.readiness_path, "port": container.ports[0], "scheme": "https"},
            "periodSeconds": READINESS_PERIOD_SECONDS,
        }
    return {"name": container.name, "properties": properties}


def _security_context(container: Container) -> dict[str, Any]:
    if container.privileged:
        return {"privileged": True}
    # As for a virtual node, by the names that the service's own tooling uses.
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": list(all_but(container.capabilities))}}
