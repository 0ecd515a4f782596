"""What the operator asks of the Kubernetes API: nine calls over plain JSON objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from confidential_summarizer.api.names import API_VERSION, GRANT_KIND, KIND

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object, as `apiVersion` and `kind` name it."""

    api_version: str
    kind: str


CONFIG_MAP = Kind("v1", "ConfigMap")
DEPLOYMENT = Kind("apps/v1", "Deployment")
EVENT = Kind("v1", "Event")
GRANT = Kind(API_VERSION, GRANT_KIND)
JOB = Kind("batch/v1", "Job")
LEASE = Kind("coordination.k8s.io/v1", "Lease")
NAMESPACE = Kind("v1", "Namespace")
POD = Kind("v1", "Pod")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget")
SECRET = Kind("v1", "Secret")
SERVICE = Kind("v1", "Service")
SUMMARIZER = Kind(API_VERSION, KIND)


class KubernetesAPI(Protocol):
    """The Kubernetes API as far as this operator uses it. Kinds that are in no namespace take any, best an empty one.

    Every call raises AccessDenied (the service account lacks a permission), WaitingError (a quota, a webhook or a
    policy of the cluster forbids it), TransientError (the server cannot answer now) or SpecError (the server refuses
    the object for what it says).
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, or None where there is none."""

    async def list(
        self,
        kind: Kind,
        namespace: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: str | None = None,
        limit: int | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        """Return the objects that carry all of the labels and match the field selector; `limit` of them at most.

        An empty namespace stands for all. With `metadata_only` they come without spec and status.
        """

    async def apply(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create or update an object by server-side apply, as our field manager; conflicts are ours to win.

        With `dry_run` nothing is stored, as in `replace`.
        """

    async def replace(self, document: Object, *, dry_run: bool = False) -> Object:
        """Put a whole object in the place of the one of its UID; what it leaves out is gone.

        With `dry_run` nothing is stored: what comes back is what the server would have made of it, its defaults and
        what its admission adds included. Another object of that name, or one that has no longer the resourceVersion
        that is named, is a TransientError.
        """

    async def create(self, manifest: Object) -> Object:
        """Create an object; one of that name already there is a Conflict."""

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object | None:
        """Merge into an object; None removes a field. Return the object as it is then, or None where there is none.

        With metadata.resourceVersion in the patch, an object that somebody else has changed since is a Conflict.
        """

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete an object and, before it, what it owns; one that is gone already is no error.

        With a UID only the object of that UID is deleted: another one of the same name is a TransientError.
        """

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge into the status subresource; None removes a field. An object that is gone is no error."""
