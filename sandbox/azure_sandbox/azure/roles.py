"""Who may do what: the tenant's role assignments for what lies in vaults, registries and blob storage."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.principals import KUBELET, OPERATOR, OWNER, SANDBOX, SUMMARIZER, Principals
from azure_sandbox.names import BLOB_HOST, MODELS_KEY, PUBLIC_REGISTRY, REGISTRY, RESULTS, SEALED, VAULT
from azure_sandbox.state import locked, write_private

READ = "read"
IMPORT = "import"
CREATE = "create"
UPDATE = "update"
DELETE = "delete"
RECOVER = "recover"
PURGE = "purge"
RELEASE = "release"

PULL = "pull"
PUSH = "push"

READ_BLOBS = "read blobs"
WRITE_BLOBS = "write blobs"

CRYPTO_OFFICER = "Crypto Officer"
CRYPTO_USER = "Crypto User"
RELEASE_USER = "Crypto Service Release User"
READER = "Crypto Reader"
ACR_PULL = "AcrPull"
ACR_PUSH = "AcrPush"
BLOB_READER = "Storage Blob Data Reader"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"

ROLES: Mapping[str, frozenset[str]] = {
    CRYPTO_OFFICER: frozenset({READ, IMPORT, CREATE, UPDATE, DELETE, RECOVER, PURGE}),
    CRYPTO_USER: frozenset({READ, IMPORT, CREATE, UPDATE, DELETE, RECOVER}),
    RELEASE_USER: frozenset({RELEASE}),
    READER: frozenset({READ}),
    ACR_PULL: frozenset({PULL}),
    ACR_PUSH: frozenset({PULL, PUSH}),
    BLOB_READER: frozenset({READ_BLOBS}),
    BLOB_CONTRIBUTOR: frozenset({READ_BLOBS, WRITE_BLOBS}),
}
"""Azure's roles; those of vaults without their prefix (`Key Vault …`, `Managed HSM …`)."""

DEFINITIONS: Mapping[str, str] = {
    ACR_PULL: "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    ACR_PUSH: "8311e382-0749-4cb8-b61a-304f252e45ec",
    BLOB_READER: "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    BLOB_CONTRIBUTOR: "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
}
"""Ids of the definitions of those that Resource Manager keeps (Azure built-in roles); vaults keep their own."""

EVERYWHERE = "/"


@dataclass(frozen=True)
class Assignment:
    """A role of one principal.

    Attributes:
        object_id: The principal's `oid`.
        role: A key of `ROLES`.
        scope: `/` for everything, the host of a vault, registry or blob account for that one, `<vault>/keys/<name>` for
            one key, `<blob account>/<container>` for one container.
    """

    object_id: str
    role: str
    scope: str = EVERYWHERE

    def covers(self, resource: str) -> bool:
        """Whether the assignment holds for a resource, which is named as scopes are."""
        return self.scope == EVERYWHERE or f"{resource}/".startswith(f"{self.scope}/")


class Roles:
    """All assignments; kept in a file, so that a change outlives the process.

    Args:
        path: The file; made with the default assignments when it is missing.
        principals: Names the defaults, which are what docs/how-to/install.md asks for.
    """

    def __init__(self, path: Path, principals: Principals) -> None:
        self.path = path
        if path.exists():
            self.assignments = {Assignment(**entry) for entry in json.loads(path.read_text())}
            return
        given = (
            (OWNER, CRYPTO_OFFICER, EVERYWHERE),
            (OWNER, BLOB_CONTRIBUTOR, BLOB_HOST),
            (OWNER, ACR_PULL, REGISTRY),
            # It may look at every key, and manage only the one that is its own to import.
            (OPERATOR, READER, EVERYWHERE),
            (OPERATOR, CRYPTO_USER, f"{VAULT}/keys/{MODELS_KEY}"),
            (OPERATOR, ACR_PULL, REGISTRY),
            (SUMMARIZER, RELEASE_USER, EVERYWHERE),
            (SUMMARIZER, BLOB_READER, f"{BLOB_HOST}/{SEALED}"),
            (SUMMARIZER, BLOB_CONTRIBUTOR, f"{BLOB_HOST}/{RESULTS}"),
            (SUMMARIZER, ACR_PULL, REGISTRY),
            (KUBELET, ACR_PULL, REGISTRY),
            # Whoever makes the images; the sidecars' stand-ins too, in Microsoft's place.
            (SANDBOX, ACR_PUSH, REGISTRY),
            (SANDBOX, ACR_PUSH, PUBLIC_REGISTRY),
        )
        self.replace({Assignment(principals[who].object_id, role, scope) for who, role, scope in given})

    def replace(self, assignments: set[Assignment]) -> None:
        """Set all assignments.

        Raises:
            ServiceError: A role does not exist.
        """
        for assignment in assignments:
            if assignment.role not in ROLES:
                raise ServiceError(400, "BadParameter", f"{assignment.role!r} is none of {', '.join(ROLES)}.")
        self.assignments = assignments
        with locked(self.path.with_suffix(".lock")):
            write_private(self.path, json.dumps(self.entries(), indent=2) + "\n")

    def entries(self) -> list[dict[str, str]]:
        """Return the assignments as JSON objects, in a fixed order."""
        return sorted((asdict(assignment) for assignment in self.assignments), key=lambda entry: sorted(entry.items()))

    def allow(self, object_id: str, action: str, resource: str) -> bool:
        """Whether a principal may do `action` with a resource, which is named as scopes are."""
        return any(
            one.object_id == object_id and action in ROLES[one.role] and one.covers(resource)
            for one in self.assignments
        )
