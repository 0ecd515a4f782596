"""Confidential container groups through Azure Resource Manager.

Bodies are plain JSON in both directions: the typed models of azure-mgmt-containerinstance drop every field that is
newer than they are, in silence. Nothing is polled here: a group that was accepted is read again by `get`.
"""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    HeadersPolicy,
    HttpLoggingPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest

from confidential_summarizer.azure.conversion import converted, describe
from confidential_summarizer.azure.transport import new_transport, retry_options
from confidential_summarizer.azure.versions import CONTAINER_GROUPS as API_VERSION
from confidential_summarizer.errors import SummarizerError, TransientError

ENDPOINT = "https://management.azure.com"
GroupBody = Mapping[str, Any]
"""The ARM resource `Microsoft.ContainerInstance/containerGroups` as JSON."""


class ContainerGroupsAPI(Protocol):
    """What the rest of the product needs from ARM; tests put a hand-written one in its place.

    Every call raises SummarizerError leaves as `azure.conversion` makes them.
    """

    async def put(self, resource_group: str, name: str, body: GroupBody) -> GroupBody:
        """Create or replace a group; returns as soon as ARM has accepted it."""

    async def get(self, resource_group: str, name: str) -> GroupBody | None:
        """Return a group with its instance view, or None where there is none."""

    async def delete(self, resource_group: str, name: str) -> None:
        """Start deleting a group; one that is gone already is no error."""

    async def list(self, resource_group: str) -> list[GroupBody]:
        """Return the groups of a resource group, without their instance views (ARM leaves them out)."""

    async def logs(self, resource_group: str, name: str, container: str, *, tail: int | None = None) -> str:
        """Return a container's output; confidential groups give it only if their policy lets them."""


class ContainerGroups:
    """The async client of one subscription. Use as an async context manager."""

    def __init__(self, credential: AsyncTokenCredential, subscription: str, *, retries: int = 0) -> None:
        """Prepare the client; no call is made.

        Args:
            credential: Who calls; stays the caller's to close.
            subscription: The subscription's id.
            retries: How often a failed call is repeated before it is reported.
        """
        self._subscription = subscription
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            ENDPOINT,
            policies=[
                RequestIdPolicy(),
                HeadersPolicy({"Accept": "application/json"}),
                UserAgentPolicy("confidential-summarizer"),
                AsyncRetryPolicy(**retry_options(retries)),
                AsyncBearerTokenCredentialPolicy(credential, f"{ENDPOINT}/.default"),
                HttpLoggingPolicy(),
            ],
            transport=new_transport(),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.close()

    async def put(self, resource_group: str, name: str, body: GroupBody) -> GroupBody:
        """See `ContainerGroupsAPI.put`."""
        url = self._url(resource_group, name)
        content = json.dumps(body).encode()
        answer = await self._send("PUT", url, _subject(resource_group, name), content=content)
        return dict(answer or {})

    async def get(self, resource_group: str, name: str) -> GroupBody | None:
        """See `ContainerGroupsAPI.get`."""
        return await self._send("GET", self._url(resource_group, name), _subject(resource_group, name))

    async def delete(self, resource_group: str, name: str) -> None:
        """See `ContainerGroupsAPI.delete`."""
        await self._send("DELETE", self._url(resource_group, name), _subject(resource_group, name))

    async def list(self, resource_group: str) -> list[GroupBody]:
        """See `ContainerGroupsAPI.list`."""
        subject = f"Container groups in resource group {resource_group}"
        page = await self._send("GET", self._url(resource_group), subject)
        groups: list[GroupBody] = []
        while page:
            groups.extend(page.get("value", []))
            following = page.get("nextLink")
            if following and not str(following).startswith(f"{ENDPOINT}/"):
                raise TransientError(f"{subject}: the list goes on at another host; it was not followed.")
            page = await self._send("GET", following, subject) if following else None
        return groups

    async def logs(self, resource_group: str, name: str, container: str, *, tail: int | None = None) -> str:
        """See `ContainerGroupsAPI.logs`."""
        url = self._url(resource_group, name, f"/containers/{quote(container, safe='')}/logs")
        if tail is not None:
            url += f"&tail={tail}"
        answer = await self._send("GET", url, f"Logs of {container} in {_subject(resource_group, name)}")
        return str((answer or {}).get("content") or "")

    def _url(self, resource_group: str, name: str = "", rest: str = "") -> str:
        path = f"/subscriptions/{quote(self._subscription, safe='')}/resourceGroups/{quote(resource_group, safe='')}"
        path += "/providers/Microsoft.ContainerInstance/containerGroups"
        path += f"/{quote(name, safe='')}" if name else ""
        return f"{ENDPOINT}{path}{rest}?api-version={API_VERSION}"

    async def _send(self, method: str, url: str, subject: str, content: bytes | None = None) -> dict[str, Any] | None:
        """Send one request; None stands for a group that is not there."""
        headers = {"Content-Type": "application/json"} if content is not None else {}
        request = HttpRequest(method, url, headers=headers, content=content)
        with converted(subject):
            response = await self._client.send_request(request)
            if response.status_code == 404 and method != "PUT" and _code(response) == "ResourceNotFound":
                return None
            if response.status_code >= 300:
                raise HttpResponseError(response=response)
            text = response.text()
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise TransientError(f"{subject}: ARM answered {response.status_code} with no JSON.") from None


def failure(group: GroupBody) -> SummarizerError | None:
    """Return what is wrong with a group that ARM accepted and could not start, or None.

    ARM reports such a failure only in words: those of the events, where it says more than `Failed`.

    Args:
        group: The resource with its instance view.
    """
    properties = group.get("properties", {})
    if properties.get("provisioningState") != "Failed":
        return None
    texts = [f"{event.get('name', '')}: {event.get('message', '')}" for event in events(group)]
    subject = f"Container group {group.get('name', '')}"
    return describe(subject, "Failed", " ".join(texts) or "no event says why", status=500)


def events(group: GroupBody) -> list[Mapping[str, Any]]:
    """Return the events of a group and of all its containers, warnings first."""
    properties = group.get("properties", {})
    containers = [*properties.get("initContainers", ()), *properties.get("containers", ())]
    views = [properties.get("instanceView"), *(c.get("properties", {}).get("instanceView") for c in containers)]
    found = [event for view in views for event in (view or {}).get("events") or ()]
    return sorted(found, key=lambda event: event.get("type") != "Warning")


def _subject(resource_group: str, name: str) -> str:
    return f"Container group {resource_group}/{name}"


def _code(response: AsyncHttpResponse) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
