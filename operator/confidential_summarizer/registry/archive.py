"""Images in files: what `docker save` and `podman save` write, and OCI image layouts, as a tar or as a folder.

Formats: OCI image layout 1.1; docker's archive with `manifest.json`.
"""

import hashlib
import os
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from confidential_summarizer.errors import ImageError, IntegrityError
from confidential_summarizer.registry.image import (
    INDEX_TYPES,
    JsonObject,
    LayerDescriptor,
    ResolvedImage,
    choose_manifest,
    config_descriptor,
    media_type,
    parse_config,
    parse_layers,
    parse_object,
)
from confidential_summarizer.registry.reference import ImageReference

_CHUNK = 1 << 20
_DOCUMENT_LIMIT = 8 << 20
_NESTED_INDEXES = 3
_MOST_MEMBERS = 16384
"""Files in an archive: some hundred times what an image of the most layers has."""
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_EXTENDED_LIMIT = 1 << 20
"""Bytes of an extended header or a long name: the limit of Go's `archive/tar`."""
_REFERENCE_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_Found = TypeVar("_Found")
_LOCAL = ImageReference("localhost", "archive", None, None)


class _Member(tarfile.TarInfo):
    """A member whose extended header is of a size that programs write; the library reads it whole into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See `tarfile.TarInfo.frombuf`."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and member.size > _EXTENDED_LIMIT:
            raise ImageError(f"the archive has a header of {member.size} bytes: refused")
        return member


class ImageArchive:
    """An archive as a source of images; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}

    def __enter__(self) -> Self:
        """Open the archive.

        Raises:
            ImageError: It cannot be read.
        """
        if self._path.is_dir():
            return self
        try:
            self._tar = tarfile.open(self._path, tarinfo=_Member)
            for member in self._tar:
                self._members[os.path.normpath(member.name)] = member
                if len(self._members) > _MOST_MEMBERS:  # the files of a layer, then
                    self._members.clear()
                    break
        except (OSError, tarfile.TarError, EOFError) as error:
            raise ImageError(f"image archive {self._path} cannot be read as a tar: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tar:
            self._tar.close()

    def has_images(self) -> bool:
        """Whether there are images in it, rather than the files of one layer."""
        layout = self._has("index.json") and self._has("oci-layout")
        return layout or (self._has("manifest.json") and any(name.endswith(".json") for name in self._members))

    async def resolve(self, reference: str) -> ResolvedImage:
        """Find an image by its reference; an empty one takes the archive's only image.

        Raises:
            ImageError: It is not there, or several are and none was named.
            IntegrityError: A document is not what its digest says.
        """
        if self._has("index.json"):
            return self._resolve_layout(reference)
        if self._has("manifest.json"):
            return self._resolve_docker(reference)
        raise ImageError(f"{self._path} is no image archive: neither index.json nor manifest.json is in it")

    async def open_layer(self, image: ResolvedImage, layer: LayerDescriptor) -> AsyncIterator[bytes]:
        """Stream a layer as it is stored.

        Raises:
            IntegrityError: At the end, when the bytes are not what the manifest says; docker's own archives name no
                digest of
                a layer, so there the config's diff_id alone pins it.
        """
        digest, size = hashlib.sha256(), 0
        with self._open(_layer_path(layer)) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        if layer.digest.startswith("sha256:") and layer.digest != f"sha256:{digest.hexdigest()}":
            raise IntegrityError(
                f"layer {layer.digest} of {image.original}: the archive holds other bytes than it names"
            )

    def _resolve_layout(self, reference: str) -> ResolvedImage:
        subject = f"image archive {self._path}"
        document = parse_object(self._document("index.json"), subject)
        digest = self._choose(document, reference, subject)
        for _ in range(_NESTED_INDEXES):
            document = parse_object(self._blob(digest), subject)
            if media_type(document, "") not in INDEX_TYPES:
                config_digest, _ = config_descriptor(document, subject)
                config = parse_config(parse_object(self._blob(config_digest), subject), subject)
                return ResolvedImage(
                    reference or str(self._path),
                    _parsed(reference),
                    digest,
                    config,
                    parse_layers(document, config, subject),
                )
            digest = choose_manifest(document, subject)
        raise ImageError(f"{subject}: its indexes are nested too deep")

    def _choose(self, index: JsonObject, reference: str, subject: str) -> str:
        listed = index.get("manifests")
        manifests = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        if len(manifests) == 1 and not reference:
            return str(manifests[0].get("digest"))
        for entry in manifests:
            notes = entry.get("annotations")
            names = [notes.get(name) for name in _REFERENCE_NAMES] if isinstance(notes, dict) else []
            if reference and any(_same(str(name), reference) for name in names if name):
                return str(entry.get("digest"))
        if len(manifests) == 1:
            return str(manifests[0].get("digest"))
        raise ImageError(f"{subject} holds {len(manifests)} images: name the one that is meant, as it was tagged")

    def _resolve_docker(self, reference: str) -> ResolvedImage:
        subject = f"image archive {self._path}"
        entries = _list(self._document("manifest.json"), subject)
        named = [entry for entry in entries if any(_same(tag, reference) for tag in _texts(entry.get("RepoTags")))]
        if not named and len(entries) > 1:
            raise ImageError(f"{subject} holds {len(entries)} images: name the one that is meant, as it was tagged")
        entry = (named or entries)[0]
        body = self._document(str(entry.get("Config")))
        config = parse_config(parse_object(body, subject), subject)
        paths = entry.get("Layers")
        if not isinstance(paths, list) or len(paths) != len(config.diff_ids):
            raise ImageError(f"{subject} lists another number of layers than its config: save the image again")
        layers = tuple(
            LayerDescriptor(f"file:{path}", self._size(str(path)), "", diff_id)
            for path, diff_id in zip(paths, config.diff_ids, strict=True)
        )
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return ResolvedImage(reference or str(self._path), _parsed(reference), digest, config, layers)

    def _blob(self, digest: str) -> bytes:
        body = self._document(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        if digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
            raise IntegrityError(f"image archive {self._path}: {digest} is not what its name says")
        return body

    def _document(self, name: str) -> bytes:
        if self._size(name) > _DOCUMENT_LIMIT:
            raise ImageError(f"image archive {self._path}: {name} is larger than {_DOCUMENT_LIMIT} bytes: refused")
        with self._open(name) as file:
            return file.read()

    def _has(self, name: str) -> bool:
        return (self._path / name).is_file() if self._tar is None else name in self._members

    def _size(self, name: str) -> int:
        return self._with(name, lambda path: path.stat().st_size, lambda member: member.size)

    def _open(self, name: str) -> IO[bytes]:
        file = self._with(name, lambda path: path.open("rb"), self._extract)
        if file is None:
            raise ImageError(f"image archive {self._path}: {name} is no file: save the image again")
        return file

    def _extract(self, member: tarfile.TarInfo) -> IO[bytes] | None:
        return self._tar.extractfile(self._target(member)) if self._tar else None

    def _target(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        """Docker stores equal layers once and links to them."""
        if not member.issym():
            return member
        name = os.path.normpath(Path(member.name).parent / member.linkname)
        return self._members.get(name, member)

    def _with(
        self, name: str, on_disk: Callable[[Path], _Found], in_tar: Callable[[tarfile.TarInfo], _Found]
    ) -> _Found:
        normal = os.path.normpath(name)
        if normal.startswith(("..", "/")):
            raise ImageError(f"image archive {self._path}: {name} leads out of the archive: refused")
        try:
            return on_disk(self._path / normal) if self._tar is None else in_tar(self._members[normal])
        except (OSError, KeyError, tarfile.TarError):
            raise ImageError(f"image archive {self._path} lacks {name}: save the image again") from None


def _layer_path(layer: LayerDescriptor) -> str:
    if layer.digest.startswith("file:"):
        return layer.digest.removeprefix("file:")
    return f"blobs/sha256/{layer.digest.removeprefix('sha256:')}"


def _same(name: str, reference: str) -> bool:
    try:
        return str(ImageReference.parse(name)) == str(ImageReference.parse(reference))
    except ImageError:
        return name == reference


def _parsed(reference: str) -> ImageReference:
    return ImageReference.parse(reference) if reference else _LOCAL


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _list(document: bytes, subject: str) -> list[dict[str, Any]]:
    entries = parse_object(b'{"entries":' + document + b"}", subject)["entries"]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"{subject}: manifest.json is no list of images: save the image again")
    return entries
