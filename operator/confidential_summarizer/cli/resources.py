"""Where commands take a ConfidentialSummarizer from: a file, or the cluster as `NAMESPACE/NAME`."""

import asyncio
import hashlib
import re
from pathlib import Path

from confidential_summarizer.api.file_systems import FileSystem, Role
from confidential_summarizer.api.names import KIND
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.cli.render import derive_from_registry, read_resource
from confidential_summarizer.errors import NotFound, SpecError
from confidential_summarizer.targets.target import Derivation

_NAME = r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?"
_IN_CLUSTER = re.compile(rf"(?:({_NAME})/)?({_NAME})")


async def find_resource(text: str) -> ConfidentialSummarizer:
    """Read a resource from a file, or fetch it from the cluster.

    What the cluster says is not trusted: the policy that follows from it is derived and shown before anything depends
    on it.

    Raises:
        NotFound: There is neither such a file nor such a resource.
        SpecError: It can never work.
    """
    file = Path(text)
    if await asyncio.to_thread(file.is_file):
        return read_resource(file)
    match = _IN_CLUSTER.fullmatch(text)
    if match is None:
        raise SpecError(f"{text} is no file and no NAMESPACE/NAME of a {KIND}.")
    return await _fetch(match[1] or "default", match[2])


async def _fetch(namespace: str, name: str) -> ConfidentialSummarizer:
    try:
        from confidential_summarizer.kube import SUMMARIZER
        from confidential_summarizer.kube.client import connect
    except ImportError:
        raise SpecError(
            "Reading from a cluster needs `pip install 'confidential-summarizer[operator]'`. "
            "Give the resource's file instead."
        ) from None
    async with connect() as cluster:
        document = await cluster.get(SUMMARIZER, namespace, name)
    if document is None:
        raise NotFound(f"{KIND} {namespace}/{name} is not in the cluster. Give its file instead.")
    return ConfidentialSummarizer.parse(document)


async def derive(resource: ConfidentialSummarizer, token_file: Path | None) -> Derivation:
    """Derive a resource's policy from its images in the registry.

    Args:
        resource: The resource.
        token_file: File with the readers' token, where the resource does not hold its hash, which is part of the
            policy.

    Raises:
        SpecError: The readers' token is in a Secret and no file was given, or the resource cannot work.
        SummarizerError: The registry refused or failed.
    """
    return await derive_from_registry(resource, token_sha256=_token_sha256(resource, token_file))


def _token_sha256(resource: ConfidentialSummarizer, token_file: Path | None) -> str | None:
    access = resource.spec.access
    if access.token_secret_ref is None:
        return access.token_sha256
    if token_file is None:
        raise SpecError(
            f"{resource.key}: the hash of the readers' token is part of the policy. Give the token's file with "
            "--token-file."
        )
    try:
        return hashlib.sha256(token_file.read_bytes().rstrip(b"\r\n")).hexdigest()
    except OSError as error:
        raise SpecError(f"Token file {token_file}: {error.strerror}.") from None


def choose_file_system(resource: ConfidentialSummarizer, name: str | None) -> FileSystem:
    """Return the file system of that name; without a name the only one, or else the documents.

    Raises:
        SpecError: There is none of that name.
    """
    file_systems = resource.spec.file_systems
    if name is not None:
        for file_system in file_systems:
            if file_system.name == name:
                return file_system
        names = ", ".join(f.name for f in file_systems)
        raise SpecError(f"{resource.key} has no file system {name}; it has {names}.")
    documents = resource.spec.file_systems_with(Role.DOCUMENTS)
    return documents[0] if documents else file_systems[0]
