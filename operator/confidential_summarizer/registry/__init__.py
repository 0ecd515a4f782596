"""Images in registries and archives: references, credentials, manifests and layer streams."""

from confidential_summarizer.registry.archive import ImageArchive
from confidential_summarizer.registry.client import ImageSource, RegistryClient
from confidential_summarizer.registry.credentials import (
    Anonymous,
    ChainedCredentials,
    Credential,
    CredentialSource,
    DockerConfig,
    StaticCredentials,
    default_credentials,
    pull_secret,
)
from confidential_summarizer.registry.image import ImageConfig, LayerDescriptor, ResolvedImage
from confidential_summarizer.registry.reference import ImageReference

__all__ = [
    "Anonymous",
    "ChainedCredentials",
    "Credential",
    "CredentialSource",
    "DockerConfig",
    "ImageArchive",
    "ImageConfig",
    "ImageReference",
    "ImageSource",
    "LayerDescriptor",
    "RegistryClient",
    "ResolvedImage",
    "StaticCredentials",
    "default_credentials",
    "pull_secret",
]
