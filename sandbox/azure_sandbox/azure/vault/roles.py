"""Who may do what with which key: role assignments of the vaults' data plane."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import Caller
from azure_sandbox.names import MODELS_KEY, VAULT
from azure_sandbox.state import locked, write_private

READ = "read"
IMPORT = "import"
CREATE = "create"
UPDATE = "update"
DELETE = "delete"
RECOVER = "recover"
PURGE = "purge"
RELEASE = "release"

CRYPTO_OFFICER = "Crypto Officer"
CRYPTO_USER = "Crypto User"
RELEASE_USER = "Crypto Service Release User"
READER = "Crypto Reader"

ROLES: Mapping[str, frozenset[str]] = {
    CRYPTO_OFFICER: frozenset({READ, IMPORT, CREATE, UPDATE, DELETE, RECOVER, PURGE}),
    CRYPTO_USER: frozenset({READ, IMPORT, CREATE, UPDATE, DELETE, RECOVER}),
    RELEASE_USER: frozenset({RELEASE}),
    READER: frozenset({READ}),
}
"""Azure's roles without their prefix (`Key Vault …`, `Managed HSM …`)."""

EVERYWHERE = "/"


@dataclass(frozen=True)
class Assignment:
    """A role of one principal.

    Attributes:
        object_id: The principal's `oid`.
        role: A key of `ROLES`.
        scope: `/` for all vaults, `<vault host>` for one, `<vault host>/keys/<name>` for one key.
    """

    object_id: str
    role: str
    scope: str = EVERYWHERE

    def covers(self, vault: str, key: str | None) -> bool:
        """Whether the assignment holds for a key, or, with None, for the vault as a whole."""
        return self.scope in (EVERYWHERE, vault) or (key is not None and self.scope == f"{vault}/keys/{key.lower()}")


class Roles:
    """All assignments; kept in a file, so that a change outlives the process.

    Args:
        path: The file; made with the default assignments when it is missing.
        principals: Names the defaults: the owner is a crypto officer, the summarizer's identity may release, the
            operator may read keys, and manage the models' key.
    """

    def __init__(self, path: Path, principals: Principals) -> None:
        self.path = path
        if path.exists():
            self.assignments = {Assignment(**entry) for entry in json.loads(path.read_text())}
            return
        self.replace(
            {
                Assignment(principals[OWNER].object_id, CRYPTO_OFFICER),
                Assignment(principals[SUMMARIZER].object_id, RELEASE_USER),
                # It may look at every key, and manage only the one that is its own to import.
                Assignment(principals[OPERATOR].object_id, READER),
                Assignment(principals[OPERATOR].object_id, CRYPTO_USER, f"{VAULT}/keys/{MODELS_KEY}"),
            }
        )

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

    def require(self, caller: Caller, action: str, vault: str, key: str | None = None) -> None:
        """Let a caller pass who may do `action`.

        Raises:
            ServiceError: 403 Forbidden, worded as the service does.
        """
        if any(
            one.object_id == caller.object_id and action in ROLES[one.role] and one.covers(vault, key)
            for one in self.assignments
        ):
            return
        name = vault.partition(".")[0]
        resource = f"/keys/{key}" if key else "/keys"
        raise ServiceError(
            403,
            "Forbidden",
            "Caller is not authorized to perform action on resource.\r\n"
            "If role assignments, deny assignments or role definitions were changed recently, "
            "please observe propagation time.\r\n"
            f"Caller: appid={caller.client_id};oid={caller.object_id}\r\n"
            f"Action: 'Microsoft.KeyVault/vaults/keys/{action}/action'\r\n"
            f"Resource: '{resource}'\r\nAssignment: (not found)\r\nVault: {name}",
            inner="ForbiddenByRbac",
        )
