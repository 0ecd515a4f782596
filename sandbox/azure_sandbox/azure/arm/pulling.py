"""What the platform pulls a group's images with: what the group names, and on a virtual node the cluster's identity."""

from collections.abc import Mapping
from typing import Any

from azure_sandbox.azure.principals import KUBELET, Principal, Principals
from azure_sandbox.azure.registry import AUDIENCES
from azure_sandbox.azure.tokens import Tokens
from azure_sandbox.guest.plan import NODE_TAG
from confidential_summarizer.registry import ChainedCredentials, Credential, CredentialSource, StaticCredentials
from confidential_summarizer.registry.azure import AzureIdentity


def pull_credentials(body: Mapping[str, Any], principals: Principals, tokens: Tokens) -> CredentialSource:
    """Return the credentials of a group.

    Args:
        body: The ARM resource.
        principals: The identities that it can name.
        tokens: Signs tokens for them.
    """
    entries = body["properties"].get("imageRegistryCredentials") or ()
    passwords = {
        entry["server"]: Credential(entry["username"], entry.get("password") or "")
        for entry in entries
        if entry.get("username")
    }
    named = (principals.by_resource_id(entry["identity"]) for entry in entries if entry.get("identity"))
    identities = [one for one in named if one is not None]
    if NODE_TAG in (body.get("tags") or {}):
        identities.append(principals[KUBELET])
    return ChainedCredentials([StaticCredentials(passwords), *(_exchanging(one, tokens) for one in identities)])


def _exchanging(identity: Principal, tokens: Tokens) -> AzureIdentity:
    async def token() -> str:
        return tokens.issue(identity, AUDIENCES[0]).value

    return AzureIdentity(token)
