"""The registry client of the command line."""

import click

from confidential_summarizer.registry import RegistryClient, default_credentials


def registry_client() -> RegistryClient:
    """Return a client with the credentials of docker and podman, and with what `csum` itself was told."""
    context = click.get_current_context(silent=True)
    loopback = context is not None and bool(context.find_root().params.get("loopback_registry"))
    return RegistryClient(default_credentials(), loopback=loopback)
