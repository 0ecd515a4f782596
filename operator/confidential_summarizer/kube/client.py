"""The Kubernetes API through the official client's asyncio twin; library errors are converted here, once."""

import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import ResourceNotFoundError

from confidential_summarizer.api.names import FIELD_MANAGER
from confidential_summarizer.errors import (
    AccessDenied,
    Conflict,
    SpecError,
    SummarizerError,
    TransientError,
    WaitingError,
    quoted,
)
from confidential_summarizer.kube.api import Kind, KubernetesAPI, Object
from confidential_summarizer.proxies import proxy_to
from confidential_summarizer.replies import retry_after

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Kubernetes API concepts, "Metadata-only fetches"."""
REQUEST_TIMEOUT = 60
"""Seconds for one call; the API server itself gives up at 60."""
_LACKS_RIGHT = re.compile(r'User ".*" cannot ')
"""What every authorizer's refusal says; admission answers 403 as well, and no right would change its mind."""


@asynccontextmanager
async def connect() -> AsyncIterator["KubernetesClient"]:
    """Connect with the pod's service account, or with the kubeconfig outside of a cluster.

    Raises:
        SpecError: What should be the kubeconfig is none.
        TransientError: The API server does not answer.
    """
    try:
        config.load_incluster_config()
    except config.ConfigException:
        await _load_kubeconfig(os.environ.get("KUBECONFIG"))
    settings = Configuration.get_default_copy()
    server = urlsplit(settings.host)
    settings.proxy = settings.proxy or proxy_to(server.scheme, server.hostname or "")
    settings.client_session_kwargs = {"trust_env": False}
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(ApiClient(settings))
        # Left to itself, it keeps what the server serves under a name that anybody can foresee, and take, in /tmp.
        private = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            dynamic = await stack.enter_async_context(DynamicClient(api, cache_file=str(private / "kinds.json")))
        except ApiException as error:
            raise _converted(error, "ask the API server for its version") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransientError(f"the API server cannot be reached ({type(error).__name__})") from None
        yield KubernetesClient(dynamic)


async def _load_kubeconfig(path: str | None) -> None:
    try:
        await config.load_kube_config(config_file=path)
    except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise SpecError(f"{path or '~/.kube/config'} is no kubeconfig: correct KUBECONFIG ({error})") from None


class KubernetesClient(KubernetesAPI):
    """`KubernetesAPI` on a real API server."""

    def __init__(self, dynamic: Any) -> None:
        self._dynamic = dynamic
        self._resources: dict[Kind, Any] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See `KubernetesAPI.get`."""
        found: Object | None = await self._call("get", kind, name=name, namespace=namespace)
        return found

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
        """See `KubernetesAPI.list`."""
        selectors: dict[str, Any] = {
            "label_selector": ",".join(f"{k}={v}" for k, v in (labels or {}).items()),
            "field_selector": fields,
            "limit": limit,
        }
        if metadata_only:
            selectors["header_params"] = {"Accept": METADATA}
        found = await self._call("get", kind, namespace=namespace or None, **{k: v for k, v in selectors.items() if v})
        if found is None:  # a namespace without objects, or that is not there, gives an empty list
            raise _unknown(kind)
        return list(found["items"] or ())  # null where there is none, of metadata alone

    async def apply(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """See `KubernetesAPI.apply`."""
        applied: Object | None = await self._call(
            "server_side_apply",
            Kind(manifest["apiVersion"], manifest["kind"]),
            body=dict(manifest),
            namespace=manifest["metadata"]["namespace"],
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
            **({"dry_run": "All"} if dry_run else {}),
        )
        if applied is None:
            raise TransientError(f"{_label(manifest)}: its namespace is going away; nothing was applied")
        return applied

    async def replace(self, document: Object, *, dry_run: bool = False) -> Object:
        """See `KubernetesAPI.replace`."""
        replaced: Object | None = await self._call(
            "replace",
            Kind(document["apiVersion"], document["kind"]),
            body=dict(document),
            namespace=document["metadata"]["namespace"],
            name=document["metadata"]["name"],
            field_manager=FIELD_MANAGER,
            **({"dry_run": "All"} if dry_run else {}),
        )
        if replaced is None:
            raise TransientError(f"{_label(document)}: somebody deleted it meanwhile; it is looked at again")
        return replaced

    async def create(self, manifest: Object) -> Object:
        """See `KubernetesAPI.create`."""
        namespace = manifest["metadata"]["namespace"]
        kind = Kind(manifest["apiVersion"], manifest["kind"])
        created: Object | None = await self._call(
            "create", kind, body=dict(manifest), namespace=namespace, field_manager=FIELD_MANAGER
        )
        if created is None:
            raise TransientError(f"{_label(manifest)}: its namespace does not exist; nothing was created")
        return created

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object | None:
        """See `KubernetesAPI.merge`."""
        merged: Object | None = await self._call(
            "patch",
            kind,
            name=name,
            namespace=namespace,
            body=dict(patch),
            content_type="application/merge-patch+json",
            field_manager=FIELD_MANAGER,
        )
        return merged

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `KubernetesAPI.delete`."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self._call("delete", kind, name=name, namespace=namespace, body=options)

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """See `KubernetesAPI.patch_status`."""
        await self._call(
            "patch",
            kind,
            name=name,
            namespace=namespace,
            body={"status": dict(status)},
            content_type="application/merge-patch+json",
            field_manager=FIELD_MANAGER,
            subresource="status",
        )

    async def _call(self, verb: str, kind: Kind, *, subresource: str | None = None, **arguments: Any) -> Any:
        sent = arguments.get("body", {}).get("metadata", {})
        what = f"{kind.kind} {arguments.get('namespace')}/{arguments.get('name') or sent.get('name', '*')}"
        try:
            resource = self._resources.get(kind)
            if resource is None:
                # Each time that it is asked, the library writes all that it knows of the API into a file.
                resource = await self._dynamic.resources.get(api_version=kind.api_version, kind=kind.kind)
                self._resources[kind] = resource
            if subresource:
                resource = resource.subresources[subresource]
            response = await getattr(self._dynamic, verb)(
                resource, serialize=False, _request_timeout=REQUEST_TIMEOUT, **arguments
            )
            return await response.json()
        except ApiException as error:
            if error.status == 404:
                return None
            raise _converted(error, f"{verb} {what}") from None
        except ResourceNotFoundError:
            raise _unknown(kind) from None
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
            raise TransientError(f"{verb} {what}: the API server cannot be reached ({type(error).__name__})") from None


def _unknown(kind: Kind) -> TransientError:
    return TransientError(
        f"the API server does not know {kind.kind} of {kind.api_version}: install the CRD (helm, or kubectl apply -f "
        "crds/)"
    )


def _label(manifest: Object) -> str:
    return f"{manifest['kind']} {manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


def _converted(error: ApiException, what: str) -> SummarizerError:
    try:
        said = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        said = ""
    message = quoted(said or error.reason or "no reason given")
    if error.status == 403 and said and not _LACKS_RIGHT.search(said):
        return WaitingError(f"{what}: a quota, a webhook or a policy of the cluster refuses it: {message}")
    if error.status in (401, 403):
        return AccessDenied(f"{what}: the operator's service account may not: {message}")
    if error.status in (400, 422):
        return SpecError(f"{what}: the API server refuses it: {message}")
    if error.status == 409:
        return Conflict(f"{what}: the API server answered 409, somebody else was there first: {message}")
    wait = retry_after((error.headers or {}).get("Retry-After"))
    return TransientError(f"{what}: the API server answered {error.status}: {message}", retry_after=wait)
