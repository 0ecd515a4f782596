"""Image references as people write them: `[registry/]repository[:tag][@digest]`."""

import re
from dataclasses import dataclass, replace

from confidential_summarizer.errors import ImageError

DEFAULT_REGISTRY = "docker.io"
"""The registry of a name without one, by the convention that every container tool follows."""

_DEFAULT_TAG = "latest"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_REPOSITORY = 255


@dataclass(frozen=True)
class ImageReference:
    """One image in one registry; with neither tag nor digest given, the tag is `latest`."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Read a reference; registry, its `library/` folder and tag get their defaults where they are left out.

        Args:
            text: The reference as written in a manifest, for example `party1.azurecr.io/summarizer:1.2@sha256:…`.

        Raises:
            ImageError: The text is no image reference, or its digest is not a SHA-256.
        """
        name, _, digest = text.partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ImageError(f"image reference {text!r}: the digest must be sha256: and 64 lower-case hex digits")
        registry, repository, tag = _split_name(name)
        valid = (
            _REGISTRY.fullmatch(registry)
            and _REPOSITORY.fullmatch(repository)
            and len(repository) <= _MAX_REPOSITORY
            and (tag is None or _TAG.fullmatch(tag))
        )
        if not valid:
            raise ImageError(f"image reference {text!r}: expected [registry/]repository[:tag][@sha256:…] in lower case")
        if tag is None and not digest:
            tag = _DEFAULT_TAG
        return cls(registry, repository, tag, digest or None)

    @property
    def pinned(self) -> bool:
        """Whether the reference names exact bytes."""
        return self.digest is not None

    def at(self, digest: str) -> "ImageReference":
        """The same repository, at one digest and without a tag."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def _split_name(name: str) -> tuple[str, str, str | None]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = DEFAULT_REGISTRY, name
    path, colon, tag = path.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return registry, path, tag if colon else None
