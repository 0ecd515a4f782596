"""The rules for importing, creating and changing a key: what the service refuses, with its AKV.SKR numbers."""

import time
from collections.abc import Mapping
from typing import Any

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.vault.keys import Key, KeyVersion, Vault, new_version
from azure_sandbox.azure.vault.material import HSM_SUFFIX, PRIVATE_FIELDS, check_material, generate_material
from azure_sandbox.azure.vault.release_policy import parse_policy
from azure_sandbox.encoding import from_base64, to_base64url

DEFAULT_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"),
    "EC": ("sign", "verify"),
    "oct": ("encrypt", "decrypt", "wrapKey", "unwrapKey"),
}
POLICY_CONTENT_TYPE = "application/json; charset=utf-8"


def import_key(vault: Vault, name: str, body: Mapping[str, Any]) -> KeyVersion:
    """Add a version from a given JSON web key.

    Raises:
        ServiceError: 400, or 409 for a name that a deleted key holds.
    """
    jwk = body.get("key")
    if not isinstance(jwk, Mapping):
        raise ServiceError(400, "BadParameter", "Property key is missing.")
    hardware = bool(body.get("hsm", body.get("Hsm", body.get("HSM", False))))
    kty = _kty(vault, jwk.get("kty"), hardware=hardware)
    return _add(vault, name, body, new_version(kty, check_material(jwk), _operations(kty, jwk.get("key_ops"))))


def create_key(vault: Vault, name: str, body: Mapping[str, Any]) -> KeyVersion:
    """Add a version with new material.

    Raises:
        ServiceError: As for `import_key`.
    """
    kty = _kty(vault, body.get("kty"), hardware=False)
    fields = generate_material(kty.removesuffix(HSM_SUFFIX), body.get("key_size"), body.get("crv"))
    return _add(vault, name, body, new_version(kty, fields, _operations(kty, body.get("key_ops"))))


def update_key(vault: Vault, key: Key, version: str | None, body: Mapping[str, Any]) -> KeyVersion:
    """Change attributes, operations, tags or the release policy.

    Raises:
        ServiceError: 400, 404 for an unknown version.
    """
    changed = key.version(version)
    attributes = body.get("attributes") or {}
    if "exportable" in attributes and bool(attributes["exportable"]) != key.exportable:
        raise _skr(1003, "The exportable attribute of an existing key cannot be changed.")
    policy = body.get("release_policy")
    if policy is not None:
        if version:
            raise _skr(1016, "The release policy can only be set on the key, not on one of its versions.")
        key.release_policy = _release_policy(policy, key.release_policy, exportable=key.exportable)
    _set_attributes(changed, attributes)
    if body.get("key_ops") is not None:
        changed.key_ops = list(body["key_ops"])
    if body.get("tags") is not None:
        changed.tags = dict(body["tags"])
    changed.updated = int(time.time())
    vault.save()
    return changed


def _add(vault: Vault, name: str, body: Mapping[str, Any], version: KeyVersion) -> KeyVersion:
    attributes = body.get("attributes") or {}
    exportable = bool(attributes.get("exportable", False))
    known = vault.keys.get(name.lower())
    if known is not None and known.deleted is None and known.exportable != exportable:
        raise _skr(1003, "The exportable attribute of an existing key cannot be changed.")
    if exportable and not version.kty.endswith(HSM_SUFFIX):
        raise _skr(1006, "Exportable keys have to be hardware keys: use RSA-HSM or EC-HSM.")
    current = known.release_policy if known else None
    policy = _release_policy(body.get("release_policy"), current, exportable=exportable)
    _set_attributes(version, attributes)
    if body.get("tags") is not None:
        version.tags = dict(body["tags"])
    key = known or Key(name, exportable, policy)
    vault.add(key, version)
    key.release_policy = policy
    vault.save()
    return version


def _kty(vault: Vault, kty: object, *, hardware: bool) -> str:
    """Return the stored kty: everything in a Managed HSM is a hardware key, a vault knows no oct."""
    kind = str(kty).removesuffix(HSM_SUFFIX)
    if kind not in PRIVATE_FIELDS or (kind == "oct" and not vault.managed_hsm):
        raise ServiceError(400, "BadParameter", f"Invalid kty value: {kty}", inner="KeyTypeNotSupported")
    hardware = hardware or vault.managed_hsm or str(kty).endswith(HSM_SUFFIX)
    return kind + (HSM_SUFFIX if hardware else "")


def _operations(kty: str, wanted: object) -> list[str]:
    if isinstance(wanted, list) and wanted:
        return [str(operation) for operation in wanted]
    return list(DEFAULT_OPERATIONS[kty.removesuffix(HSM_SUFFIX)])


def _release_policy(wanted: object, current: Mapping[str, Any] | None, *, exportable: bool) -> dict[str, Any] | None:
    if wanted is None:
        if exportable and current is None:
            raise _skr(1004, "Exportable keys must have a release policy.")
        return dict(current) if current is not None else None
    if not exportable:
        raise _skr(1005, "Non-exportable keys must not have a release policy.")
    if current is not None and current.get("immutable"):
        raise _skr(1020, "The release policy is immutable and cannot be modified.")
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("data"), str):
        raise _skr(1004, "Exportable keys must have a release policy with the property data.")
    try:
        data = from_base64(wanted["data"])
    except ValueError as error:
        raise ServiceError(400, "BadParameter", "The release policy's data is not base64url.") from error
    parse_policy(data)
    return {
        "contentType": wanted.get("contentType") or POLICY_CONTENT_TYPE,
        "data": to_base64url(data),
        "immutable": bool(wanted.get("immutable", False)),
    }


def _set_attributes(version: KeyVersion, attributes: Mapping[str, Any]) -> None:
    if "enabled" in attributes and attributes["enabled"] is not None:
        version.enabled = bool(attributes["enabled"])
    if "nbf" in attributes:
        version.not_before = attributes["nbf"]
    if "exp" in attributes:
        version.expires = attributes["exp"]


def _skr(number: int, text: str) -> ServiceError:
    return ServiceError(400, "BadParameter", f"AKV.SKR.{number}: {text}")
