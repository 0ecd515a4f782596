"""The keys of one vault, with their versions and their way through deletion; kept in a file closed to other users."""

import copy
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.vault.material import public_fields
from azure_sandbox.state import write_private

RECOVERABLE_DAYS = 7
"""Shortest retention that the service allows."""

DAY = 86400

HSM_PLATFORM = "1"


@dataclass
class KeyVersion:
    """One version of a key.

    Attributes:
        version: 32 hex digits.
        kty: With `-HSM` for hardware keys.
        fields: The private fields of its JSON web key.
    """

    version: str
    kty: str
    fields: dict[str, str] = field(repr=False)
    key_ops: list[str]
    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    tags: dict[str, str] | None = None


@dataclass
class Key:
    """A key with all its versions, oldest first.

    Attributes:
        exportable: Fixed with the first version.
        release_policy: As on the wire: contentType, data (base64url), immutable; one for all versions.
        deleted: When it was deleted, in seconds since 1970; None while it lives.
    """

    name: str
    exportable: bool
    release_policy: dict[str, Any] | None
    versions: list[KeyVersion] = field(default_factory=list)
    deleted: int | None = None

    def version(self, version: str | None) -> KeyVersion:
        """Return a version, the newest when None.

        Raises:
            ServiceError: 404 KeyNotFound.
        """
        if not version:
            return self.versions[-1]
        for one in self.versions:
            if one.version == version:
                return one
        raise key_not_found(f"{self.name}/{version}")


class Vault:
    """One vault's keys.

    Args:
        host: Its host name.
        path: Its file.
    """

    def __init__(self, host: str, path: Path) -> None:
        self.host = host
        self.path = path
        self.purge_protection = False
        self.keys: dict[str, Key] = {}
        if path.exists():
            saved = json.loads(path.read_text())
            self.purge_protection = saved["purgeProtection"]
            self.keys = {entry["name"].lower(): _key(entry) for entry in saved["keys"]}

    @property
    def managed_hsm(self) -> bool:
        """Whether it is a Managed HSM; else a premium Key Vault."""
        return self.host.endswith(".managedhsm.azure.net")

    def living(self, name: str) -> Key:
        """Return a key that is not deleted.

        Raises:
            ServiceError: 404 KeyNotFound.
        """
        key = self.keys.get(name.lower())
        if key is None or key.deleted is not None:
            raise key_not_found(name)
        return key

    def deleted(self, name: str) -> Key:
        """Return a deleted key that can still be recovered.

        Raises:
            ServiceError: 404 KeyNotFound.
        """
        key = self.keys.get(name.lower())
        if key is None or key.deleted is None:
            raise ServiceError(404, "KeyNotFound", f"Deleted Key not found: {name}")
        return key

    def add(self, key: Key, version: KeyVersion) -> None:
        """Add a version to a new or known key.

        Raises:
            ServiceError: 409 Conflict when the name is held by a deleted key.
        """
        known = self.keys.setdefault(key.name.lower(), key)
        if known.deleted is not None:
            text = (
                f"Key {key.name} is currently in a deleted but recoverable state, and its name cannot be reused; "
                "in this state, the key can only be recovered or purged."
            )
            raise ServiceError(409, "Conflict", text, inner="ObjectIsDeletedButRecoverable")
        known.versions.append(version)
        self.save()

    def purge(self, name: str) -> None:
        """Forget a deleted key for good.

        Raises:
            ServiceError: 404 KeyNotFound, or 403 Forbidden under purge protection.
        """
        key = self.deleted(name)
        if self.purge_protection:
            text = 'Operation "purge" is not allowed because purge protection is enabled for this vault.'
            raise ServiceError(403, "Forbidden", text, inner="ForbiddenByPolicy")
        del self.keys[key.name.lower()]
        self.save()

    def save(self) -> None:
        """Write the file."""
        content = {"purgeProtection": self.purge_protection, "keys": [asdict(key) for key in self.keys.values()]}
        write_private(self.path, json.dumps(content, indent=2) + "\n")

    def key_id(self, key: Key, version: KeyVersion | None = None) -> str:
        """Return the `kid` of a key or of one version."""
        return f"https://{self.host}/keys/{key.name}" + (f"/{version.version}" if version else "")

    def attributes(self, key: Key, version: KeyVersion) -> dict[str, Any]:
        """Return the `attributes` object."""
        times = {"nbf": version.not_before, "exp": version.expires}
        return {
            "enabled": version.enabled,
            **{name: moment for name, moment in times.items() if moment is not None},
            "created": version.created,
            "updated": version.updated,
            "recoveryLevel": "Recoverable" if self.purge_protection else "Recoverable+Purgeable",
            "recoverableDays": RECOVERABLE_DAYS,
            "exportable": key.exportable,
            "hsmPlatform": HSM_PLATFORM,
        }

    def json_web_key(self, key: Key, version: KeyVersion) -> dict[str, Any]:
        """Return the public JSON web key."""
        named = {"kid": self.key_id(key, version), "kty": version.kty, "key_ops": version.key_ops}
        return named | public_fields(version.kty, version.fields)

    def bundle(self, key: Key, version: KeyVersion) -> dict[str, Any]:
        """Return a key bundle, a deleted one when the key is deleted."""
        bundle: dict[str, Any] = {
            "key": self.json_web_key(key, version),
            "attributes": self.attributes(key, version),
        }
        if version.tags is not None:
            bundle["tags"] = version.tags
        if key.release_policy is not None:
            bundle["release_policy"] = copy.deepcopy(key.release_policy)
        return bundle | self._deletion(key)

    def item(self, key: Key, version: KeyVersion, *, with_version: bool = False) -> dict[str, Any]:
        """Return an entry of a list."""
        item: dict[str, Any] = {
            "kid": self.key_id(key, version if with_version else None),
            "attributes": self.attributes(key, version),
        }
        if version.tags is not None:
            item["tags"] = version.tags
        return item | self._deletion(key)

    def _deletion(self, key: Key) -> dict[str, Any]:
        if key.deleted is None:
            return {}
        return {
            "recoveryId": f"https://{self.host}/deletedkeys/{key.name}",
            "deletedDate": key.deleted,
            "scheduledPurgeDate": key.deleted + RECOVERABLE_DAYS * DAY,
        }


def new_version(kty: str, fields: dict[str, str], key_ops: list[str]) -> KeyVersion:
    """Return a version that begins now."""
    now = int(time.time())
    return KeyVersion(uuid.uuid4().hex, kty, fields, key_ops, now, now)


def key_not_found(name: str) -> ServiceError:
    """Return the service's 404."""
    text = (
        f"A key with (name/id) {name} was not found in this key vault. If you recently deleted this key you may be "
        "able to recover it using the correct recovery command."
    )
    return ServiceError(404, "KeyNotFound", text)


def _key(entry: Mapping[str, Any]) -> Key:
    versions = [KeyVersion(**version) for version in entry["versions"]]
    return Key(**(dict(entry) | {"versions": versions}))
