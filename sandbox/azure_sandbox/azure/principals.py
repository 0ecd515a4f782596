"""Who there is: the applications and managed identities of the sandbox's tenant.

Kept in `principals.json`, closed to other users because it holds the applications' secrets. Ids are derived from names,
so that a sandbox started anew has the same ones.
"""

import json
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from azure_sandbox.names import CLIENT_ID, CLIENT_SECRET, RESOURCE_GROUP, SUBSCRIPTION
from azure_sandbox.state import locked, write_private

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sandbox.confidential.summarizer.dev")

SANDBOX = "sandbox"
OWNER = "owner"
OPERATOR = "operator"
SUMMARIZER = "summarizer"
KUBELET = "kubelet"

APPLICATIONS = (SANDBOX, OWNER, OPERATOR)
"""The sandbox's own parts, the data owner, and the operator of the service."""

IDENTITIES = (SUMMARIZER, KUBELET)
"""The identity of the groups, and that of the cluster, with which a virtual node pulls images."""


@dataclass(frozen=True)
class FederatedCredential:
    """A token of another issuer that an application may sign in with."""

    issuer: str
    subject: str


@dataclass(frozen=True)
class Principal:
    """An application (with a secret) or a user-assigned identity (with a resource id).

    Attributes:
        name: Its name in the sandbox.
        client_id: `appid` of its tokens.
        object_id: `oid` of its tokens; what roles are assigned to.
        resource_id: ARM id of a managed identity.
        secret: Client secret of an application.
        federated: If not empty, the only client assertions that are taken; if empty, every well-formed one is.
    """

    name: str
    client_id: str
    object_id: str
    resource_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    federated: tuple[FederatedCredential, ...] = ()


def identity_resource_id(name: str) -> str:
    """Return the ARM id of a user-assigned identity in the sandbox's resource group."""
    provider = "Microsoft.ManagedIdentity/userAssignedIdentities"
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/{provider}/{name}"


class Principals:
    """The tenant's directory.

    Args:
        path: `principals.json`; the default principals are added where they are missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Principal] = {}
        with locked(path.with_suffix(".lock")):
            self._known = {principal.name: principal for principal in _defaults()}
            if path.exists():
                self._known |= {entry["name"]: _principal(entry) for entry in json.loads(path.read_text())}
            self._save()

    def __getitem__(self, name: str) -> Principal:
        """Return the principal of a name; KeyError when there is none."""
        return self._known[name]

    def __iter__(self) -> Iterator[Principal]:
        return iter(self._known.values())

    def by_client_id(self, client_id: str) -> Principal | None:
        """Return the principal with this `appid`."""
        return next((one for one in self._known.values() if one.client_id == client_id.lower()), None)

    def by_resource_id(self, resource_id: str) -> Principal | None:
        """Return the managed identity with this ARM id; case does not matter."""
        return next(
            (one for one in self._known.values() if (one.resource_id or "").lower() == resource_id.lower()), None
        )

    def add_identity(self, resource_id: str) -> Principal:
        """Return the managed identity of this ARM id, made if need be."""
        if known := self.by_resource_id(resource_id):
            return known
        made = _identity(resource_id)
        self._keep(made)
        return made

    def federate(self, name: str, credentials: tuple[FederatedCredential, ...]) -> None:
        """Set whose client assertions an application may sign in with; with none, every well-formed one will do."""
        self._keep(replace(self._known[name], federated=credentials))

    def _keep(self, principal: Principal) -> None:
        self._known[principal.name] = principal
        with locked(self.path.with_suffix(".lock")):
            self._save()

    def _save(self) -> None:
        entries = [asdict(principal) for principal in self._known.values()]
        write_private(self.path, json.dumps(entries, indent=2) + "\n")


def _defaults() -> Iterable[Principal]:
    for name in APPLICATIONS:
        own = name == SANDBOX
        yield Principal(
            name=name,
            client_id=CLIENT_ID if own else _id(f"{name}/client"),
            object_id=_id(f"{name}/object"),
            # In hexadecimal: one that begins with a hyphen looks like an option to the Azure CLI.
            secret=CLIENT_SECRET if own else secrets.token_hex(24),
        )
    for name in IDENTITIES:
        yield _identity(identity_resource_id(name))


def _identity(resource_id: str) -> Principal:
    key = resource_id.lower()
    name = next((one for one in IDENTITIES if identity_resource_id(one).lower() == key), key)
    return Principal(name, _id(f"{key}/client"), _id(f"{key}/object"), resource_id=resource_id)


def _id(name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, name))


def _principal(entry: Mapping[str, object]) -> Principal:
    federated = entry.get("federated") or []
    values = dict(entry) | {"federated": tuple(FederatedCredential(**one) for one in federated)}  # type: ignore[attr-defined]
    return Principal(**values)  # type: ignore[arg-type]
