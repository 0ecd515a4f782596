"""Confidential container groups through Azure Resource Manager, on azure-mgmt-containerinstance.

The SDK brings requests, paging and authentication. Bodies are plain JSON in both directions, because its typed models
drop every field that is newer than they are, in silence. Nothing is polled here: a group that was accepted is read
again by `get`. The SDK repeats nothing by itself, so that throttling reaches the operator's own queue.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from azure.core import AzureClouds
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import DeserializationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy, ContentDecodePolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.containerinstance.aio import ContainerInstanceManagementClient
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.core.tools import get_arm_endpoints

from confidential_summarizer.azure.client import Client
from confidential_summarizer.azure.conversion import converted
from confidential_summarizer.azure.kept import Kept
from confidential_summarizer.azure.transport import client_options
from confidential_summarizer.azure.versions import CONTAINER_GROUPS as API_VERSION
from confidential_summarizer.errors import SpecError, TransientError

CLOUDS = {
    "AzureCloud": AzureClouds.AZURE_PUBLIC_CLOUD,
    "AzureUSGovernment": AzureClouds.AZURE_US_GOVERNMENT,
    "AzureChinaCloud": AzureClouds.AZURE_CHINA_CLOUD,
}
"""The clouds as `az cloud list` names them; the SDK knows the endpoint and the audience of each."""

PublicCloud = "AzureCloud"
GroupBody = Mapping[str, Any]
"""The ARM resource `Microsoft.ContainerInstance/containerGroups` as JSON."""


class ContainerGroups(Client[ContainerInstanceManagementClient]):
    """The async client of one subscription. Use as an async context manager.

    Every call raises SummarizerError leaves as `azure.conversion` makes them.
    """

    def __init__(
        self, credential: AsyncTokenCredential, subscription: str, *, cloud: str = PublicCloud, retries: int = 0
    ) -> None:
        """Prepare the client; no call is made.

        Args:
            credential: Who calls; stays the caller's to close.
            subscription: The subscription's id.
            cloud: One of `CLOUDS`.
            retries: How often a failed call is repeated before it is reported.

        Raises:
            SpecError: There is no such cloud.
        """
        endpoints = get_arm_endpoints(_cloud(cloud))
        client = ContainerInstanceManagementClient(
            credential,
            subscription,
            base_url=endpoints["resource_manager"].rstrip("/"),
            credential_scopes=endpoints["credential_scopes"],
            api_version=API_VERSION,
            per_retry_policies=[_NoRegistration()],
            **client_options(retries),
        )
        super().__init__(client)
        self._groups = client.container_groups
        self._groups._deserialize = _Raw(self._groups._deserialize)  # noqa: SLF001 - no public way round the models

    async def put(self, resource_group: str, name: str, body: GroupBody) -> GroupBody:
        """Create or replace a group; returns as soon as ARM has accepted it."""
        # Typed for streams only, it takes bytes as well and sends them as they are.
        content = cast("Any", json.dumps(body).encode())
        async with _called(_subject(resource_group, name)):
            poller = await self._groups.begin_create_or_update(resource_group, name, content, polling=False)
            return cast("GroupBody", await poller.result())

    async def get(self, resource_group: str, name: str) -> GroupBody | None:
        """Return a group with its instance view, or None where there is none."""
        async with _called(_subject(resource_group, name)):
            try:
                return cast("GroupBody", await self._groups.get(resource_group, name))
            except ResourceNotFoundError as error:
                if not _is_of_the_group(error):
                    raise
                return None

    async def delete(self, resource_group: str, name: str) -> None:
        """Start deleting a group; one that is gone already is no error."""
        async with _called(_subject(resource_group, name)):
            try:
                await self._groups.begin_delete(resource_group, name, polling=False)
            except ResourceNotFoundError as error:
                if not _is_of_the_group(error):
                    raise

    async def start(self, resource_group: str, name: str) -> None:
        """Start a group that was stopped."""
        async with _called(_subject(resource_group, name)):
            await self._groups.begin_start(resource_group, name, polling=False)

    async def tag(self, resource_group: str, name: str, tags: Mapping[str, str]) -> None:
        """Replace a group's tags; nothing restarts."""
        content = cast("Any", json.dumps({"tags": dict(tags)}).encode())
        async with _called(_subject(resource_group, name)):
            await self._groups.update(resource_group, name, content)

    async def usages(self, location: str) -> dict[str, tuple[float, float]]:
        """Return what of each quota of the region is used, and its limit, by the quota's name."""
        async with _called(f"Quota in {location}"):
            found: AsyncIterable[Any] = self._client.location.list_usage(location)
            return {usage.name.value: (usage.current_value or 0, usage.limit or 0) async for usage in found}

    async def list(self, resource_group: str) -> list[GroupBody]:
        """Return the groups of a resource group, without their instance views (ARM leaves them out)."""
        async with _called(f"Container groups in resource group {resource_group}"):
            found: AsyncIterable[Any] = self._groups.list_by_resource_group(resource_group)
            return [group async for group in found]

    async def logs(self, resource_group: str, name: str, container: str, *, tail: int | None = None) -> str:
        """Return a container's output; confidential groups give it only if their policy lets them."""
        async with _called(f"Logs of {container} in {_subject(resource_group, name)}"):
            logs = await self._client.containers.list_logs(resource_group, name, container, tail=tail)
            return str(logs.content or "")


class Subscriptions(Kept[ContainerGroups]):
    """The clients of all subscriptions, by id."""

    def __init__(self, credential: AsyncTokenCredential, *, cloud: str = PublicCloud) -> None:
        """Prepare them; see `ContainerGroups`.

        Raises:
            SpecError: There is no such cloud.
        """
        _cloud(cloud)
        super().__init__(lambda subscription: ContainerGroups(credential, subscription, cloud=cloud))


class _NoRegistration(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Reports an unregistered resource provider at once.

    The SDK would register it by itself and wait for that without an end; it is the subscription's owner who decides.
    """

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        response = await self.next.send(request)
        answer = response.http_response
        if answer.status_code == 409 and "SubscriptionRegistration" in answer.text():
            raise HttpResponseError(response=answer, error_format=ARMErrorFormat)
        return response


class _Raw:
    """Hands answers on as the JSON that they are; the SDK's models of a hundred groups take a second.

    Args:
        typed: The SDK's own deserializer, which reads errors.
    """

    def __init__(self, typed: Any) -> None:
        self._typed = typed

    def __call__(self, kind: str, response: Any) -> Any:
        found = response.context[ContentDecodePolicy.CONTEXT_NAME] or {}
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        if kind != "ContainerGroupListResult":
            return found
        return SimpleNamespace(value=found.get("value") or (), next_link=found.get("nextLink"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._typed, name)


def _is_of_the_group(error: ResourceNotFoundError) -> bool:
    """Tell whether the group is not there, and not the resource group or the subscription around it."""
    return error.error is not None and error.error.code == "ResourceNotFound"


@asynccontextmanager
async def _called(subject: str) -> AsyncIterator[None]:
    """Convert what a call raises, an answer that the SDK's models do not take included."""
    try:
        with converted(subject):
            yield
    except (DeserializationError, ValueError):
        raise TransientError(f"{subject}: Resource Manager's answer is no container group.") from None


def _cloud(name: str) -> AzureClouds:
    if name not in CLOUDS:
        raise SpecError(f"{name!r} is no cloud of Azure that is known here: use one of {', '.join(CLOUDS)}")
    return CLOUDS[name]


def _subject(resource_group: str, name: str) -> str:
    return f"Container group {resource_group}/{name}"
