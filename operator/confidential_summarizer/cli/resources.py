"""Where commands take a ConfidentialSummarizer from: a file, or the cluster as `NAMESPACE/NAME`."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from confidential_summarizer.api.file_systems import FileSystem
from confidential_summarizer.api.names import KIND
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.cli.render import derive_from_registry, read_resource
from confidential_summarizer.errors import IntegrityError, NotFound, SpecError, TransientError
from confidential_summarizer.kube import SUMMARIZER, KubernetesAPI
from confidential_summarizer.targets.target import Derivation

P = ParamSpec("P")
R = TypeVar("R")

_NAME = r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?"
_IN_CLUSTER = re.compile(rf"(?:({_NAME})/)?({_NAME})")


async def find_resource(text: str) -> ConfidentialSummarizer:
    """Read a resource from a file, or fetch it from the cluster.

    What the cluster says is not trusted: the policy that follows from it is derived and shown before anything depends
    on it.

    Raises:
        NotFound: There is neither such a file nor such a resource.
        SpecError: It can never work.
        IntegrityError: The cluster gave another resource than it was asked for.
    """
    file = Path(text)
    if await asyncio.to_thread(file.is_file):
        return read_resource(file)
    return await _fetch(*_in_cluster(text))


async def resource_name(text: str) -> str:
    """Return `namespace/name` of a resource in a file, or in the cluster, which is not asked.

    Raises:
        SpecError: The file holds none, or the text is no such name.
    """
    file = Path(text)
    if await asyncio.to_thread(file.is_file):
        return read_resource(file).key
    return "/".join(_in_cluster(text))


def _in_cluster(text: str) -> tuple[str, str]:
    match = _IN_CLUSTER.fullmatch(text)
    if match is None:
        raise SpecError(f"{text} is no file and no NAMESPACE/NAME of a {KIND}.")
    return match[1] or "default", match[2]


@asynccontextmanager
async def cluster() -> AsyncIterator[KubernetesAPI]:
    """Connect to the cluster of the kubeconfig, with the rights of whoever asks.

    Raises:
        SpecError: The packages for it are not installed.
        TransientError: No kubeconfig names a cluster.
    """
    try:
        from kubernetes.aio.config import ConfigException

        from confidential_summarizer.kube.client import connect
    except ImportError:
        raise SpecError(
            "Reading from a cluster needs `pip install 'confidential-summarizer[operator]'`. "
            "Give the resource's file instead."
        ) from None
    try:
        async with connect() as kube:
            yield kube
    except ConfigException:
        raise TransientError("No cluster was reached: set KUBECONFIG, or give the resource's file instead.") from None


async def _fetch(namespace: str, name: str) -> ConfidentialSummarizer:
    async with cluster() as kube:
        document = await kube.get(SUMMARIZER, namespace, name)
    if document is None:
        raise NotFound(f"{KIND} {namespace}/{name} is not in the cluster. Give its file instead.")
    resource = ConfidentialSummarizer.parse(document)
    if resource.key != f"{namespace}/{name}":
        raise IntegrityError(f"The cluster was asked for {namespace}/{name} and gave {resource.key}.")
    return resource


def token_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add the two options that give the readers' token of a resource with access.tokenSecretRef, or its hash."""
    file = click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="File with the readers' token, if the resource takes it from a Secret; sent nowhere.",
    )
    digest = click.option("--token-sha256", help="SHA-256 of that token, in place of its file.")
    return file(digest(command))


def readers_token(token_file: Path | None, token_sha256: str | None) -> str | None:
    """Return the SHA-256 of the readers' token, 64 hexadecimal digits, None where neither option is given.

    Raises:
        SpecError: The file cannot be read, or the hash is none.
        UsageError: Both are given.
    """
    if token_file is not None and token_sha256 is not None:
        raise click.UsageError("Give the readers' token with --token-file, or its hash with --token-sha256.")
    if token_sha256 is not None and re.fullmatch("[0-9a-f]{64}", token_sha256) is None:
        raise SpecError("--token-sha256 takes 64 digits from 0 to 9 and a to f: the SHA-256 of the readers' token.")
    if token_file is None:
        return token_sha256
    try:
        return hashlib.sha256(token_file.read_bytes().rstrip(b"\r\n")).hexdigest()
    except OSError as error:
        raise SpecError(f"Token file {token_file}: {error.strerror}.") from None


async def derive(resource: ConfidentialSummarizer, token_sha256: str | None) -> Derivation:
    """Derive a resource's policy from its images in the registry.

    Args:
        resource: The resource.
        token_sha256: The readers' token, where the resource does not hold its hash, which is part of the policy.

    Raises:
        SpecError: The readers' token is in a Secret and was not given, or the resource cannot work.
        SummarizerError: The registry refused or failed.
    """
    access = resource.spec.access
    if access.token_secret_ref is None:
        return await derive_from_registry(resource, token_sha256=access.token_sha256)
    if token_sha256 is None:
        raise SpecError(
            f"{resource.key}: the hash of the readers' token is part of the policy. Give the token's file with "
            "--token-file, or its SHA-256 with --token-sha256."
        )
    return await derive_from_registry(resource, token_sha256=token_sha256)


def choose_file_system(resource: ConfidentialSummarizer, name: str | None) -> FileSystem:
    """Return the file system of that name; without a name the documents, where they are one.

    Raises:
        SpecError: There is none of that name, or the documents are of several owners and nobody says whose are meant.
    """
    file_systems, documents = resource.spec.file_systems, resource.spec.documents
    if name is not None:
        for file_system in file_systems:
            if file_system.name == name:
                return file_system
        names = ", ".join(f.name for f in file_systems)
        raise SpecError(f"{resource.key} has no file system {name}; it has {names}.")
    if len(documents) > 1:
        whose = ", ".join(f"{one.name} (key {one.key.name} of {one.key.vault})" for one in documents)
        raise SpecError(f"{resource.key} has several file systems with documents: {whose}. Name yours: --file-system.")
    return documents[0]
