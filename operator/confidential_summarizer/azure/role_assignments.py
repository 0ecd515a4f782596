"""Which roles an identity has, as Resource Manager tells whoever may read that.

Three questions: who the identity is, where the account or registry lies, and what was given at that place or above it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from confidential_summarizer.azure.client import Client
from confidential_summarizer.azure.conversion import converted
from confidential_summarizer.azure.transport import new_transport, retry_options
from confidential_summarizer.errors import NotFound, TransientError

RESOURCE_MANAGER = "https://management.azure.com"
IDENTITIES, ACCOUNTS, REGISTRIES, ASSIGNMENTS = "2023-01-31", "2023-05-01", "2023-07-01", "2022-04-01"
"""Versions of the four APIs."""

MOST_PAGES = 50
"""Of one listing: a subscription has 250 storage accounts a region and 4,000 role assignments."""


class Role(StrEnum):
    """A built-in role by its name; `ids` says which roles include it."""

    BLOB_READER = "Storage Blob Data Reader"
    BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
    ACR_PULL = "AcrPull"


_BLOB_CONTRIBUTOR = frozenset({"ba92f5b4-2d11-453d-a403-e96b0029c9fe", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"})
INCLUDED: Mapping[Role, frozenset[str]] = {
    Role.BLOB_READER: _BLOB_CONTRIBUTOR | {"2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"},
    Role.BLOB_CONTRIBUTOR: _BLOB_CONTRIBUTOR,
    Role.ACR_PULL: frozenset(
        {
            "7f951dda-4ed3-4680-a7ca-43fe172d538d",
            "8311e382-0749-4cb8-b61a-304f252e45ec",  # AcrPush
            "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor; its rights are over the account, not over blobs
            "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
        }
    ),
}
"""The definitions that do for each role: its own, and those with more rights (Azure built-in roles)."""


@dataclass(frozen=True)
class Held:
    """What an identity holds at one place.

    Attributes:
        principal: The identity's object id.
        scope: ARM id of the place.
        definitions: Ids of the roles' definitions, given there or above.
    """

    principal: str
    scope: str
    definitions: frozenset[str]

    def includes(self, role: Role) -> bool:
        """Whether one of them does for a role."""
        return bool(self.definitions & INCLUDED[role])


class RoleAssignments(Client[AsyncPipelineClient[HttpRequest, AsyncHttpResponse]]):
    """The role assignments of one subscription. Use as an async context manager."""

    def __init__(self, credential: AsyncTokenCredential, subscription: str, *, retries: int = 0) -> None:
        """Prepare the client; no call is made.

        Args:
            credential: Who asks; stays the caller's to close.
            subscription: Where the account or registry is looked for.
            retries: How often the SDK repeats a failed call.
        """
        self._subscription = f"/subscriptions/{subscription}"
        policies = [
            AsyncRetryPolicy(**retry_options(retries)),
            AsyncBearerTokenCredentialPolicy(credential, f"{RESOURCE_MANAGER}/.default"),
        ]
        super().__init__(AsyncPipelineClient(RESOURCE_MANAGER, policies=policies, transport=new_transport()))

    async def on_container(self, identity: str, account: str, container: str) -> Held:
        """Return what an identity (its ARM id) holds on a container of a storage account.

        Raises:
            NotFound: The subscription has no such account or identity, or whoever asks may not see it.
        """
        async for found in self._listed(f"{self._subscription}/providers/Microsoft.Storage/storageAccounts", ACCOUNTS):
            if str(found.get("name")).lower() == account.lower():
                return await self._held(identity, f"{found['id']}/blobServices/default/containers/{container}")
        raise NotFound(f"{self._subscription} shows no storage account {account}")

    async def on_registry(self, identity: str, host: str) -> Held:
        """Return what an identity (its ARM id) holds on a registry.

        Raises:
            NotFound: The subscription has no such registry or identity, or whoever asks may not see it.
        """
        path = f"{self._subscription}/providers/Microsoft.ContainerRegistry/registries"
        async for found in self._listed(path, REGISTRIES):
            if str((found.get("properties") or {}).get("loginServer")).lower() == host.lower():
                return await self._held(identity, str(found["id"]))
        raise NotFound(f"{self._subscription} shows no registry {host}")

    async def _held(self, identity: str, scope: str) -> Held:
        principal = str((await self._get(f"{identity}?api-version={IDENTITIES}"))["properties"]["principalId"])
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        query = {"$filter": f"atScope() and assignedTo('{principal}')"}
        given = [one["properties"] async for one in self._listed(path, ASSIGNMENTS, query)]
        definitions = frozenset(str(one["roleDefinitionId"]).rpartition("/")[2].lower() for one in given)
        return Held(principal, scope, definitions)

    async def _listed(
        self, path: str, version: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        address: str | None = f"{path}?{urlencode({'api-version': version, **(query or {})})}"
        for _ in range(MOST_PAGES):
            if not address:
                return
            page = await self._get(address)
            for entry in page.get("value") or ():
                yield entry
            following = urlsplit(page.get("nextLink") or "")
            address = following.path and f"{following.path}?{following.query}"

    async def _get(self, address: str) -> Mapping[str, Any]:
        """Return the JSON object at a path; the token goes to Resource Manager alone."""
        subject = f"Resource Manager, {address.partition('?')[0]}"
        with converted(subject):
            answer = await self._client.send_request(HttpRequest("GET", f"{RESOURCE_MANAGER}{address}"))
            answer.raise_for_status()
            try:
                document = json.loads(answer.text())
            except ValueError:
                document = None
        if not isinstance(document, dict):
            raise TransientError(f"{subject}: the answer is no JSON object")
        return document
