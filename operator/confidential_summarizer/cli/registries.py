"""The registry client of the command line."""

import click

from confidential_summarizer.errors import AccessDenied
from confidential_summarizer.registry import ChainedCredentials, RegistryClient, default_credentials
from confidential_summarizer.registry.azure import AUDIENCE, AzureIdentity


def registry_client() -> RegistryClient:
    """Return a client with the credentials of docker and podman, else of Azure, and what `csum` itself was told."""
    context = click.get_current_context(silent=True)
    loopback = context is not None and bool(context.find_root().params.get("loopback_registry"))
    return RegistryClient(ChainedCredentials([default_credentials(), AzureIdentity(_token)]), loopback=loopback)


async def _token() -> str:
    """Return a token of whoever is signed in to Azure; where its packages are not installed, nobody is."""
    try:
        from confidential_summarizer.azure.credentials import credential, token
    except ImportError:
        raise AccessDenied("Azure's registries: nobody is signed in to Azure here") from None
    async with credential() as identity:
        return await token(identity, AUDIENCE)
