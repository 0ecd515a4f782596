"""The one credential for all services, chosen by the environment."""

import os
from collections.abc import Mapping

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import DefaultAzureCredential, WorkloadIdentityCredential

from confidential_summarizer.azure.conversion import converted

_WORKLOAD_IDENTITY = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")
"""Set in a pod by the workload-identity webhook."""


async def token(who: AsyncTokenCredential, scope: str) -> str:
    """Return a token of Azure AD.

    Raises:
        AccessDenied: The environment has no credential, or Azure AD refuses it.
    """
    with converted(f"A token of Azure AD for {scope.removesuffix('/.default')}"):
        return (await who.get_token(scope)).token


def credential(environ: Mapping[str, str] | None = None) -> AsyncTokenCredential:
    """Return the credential that the environment asks for; close it after use (`async with`).

    In a pod with workload identity that one is named, so that a fault in it is reported as itself instead of as the
    last of eight attempts. Elsewhere the default chain: environment, managed identity, Azure CLI and so on.

    Args:
        environ: The environment; the process's own where None.
    """
    environ = os.environ if environ is None else environ
    if all(environ.get(name) for name in _WORKLOAD_IDENTITY):
        tenant, client, file = (environ[name] for name in _WORKLOAD_IDENTITY)
        return WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=file)
    return DefaultAzureCredential()
