"""What a registry says about an image: manifest, config and layers, as values.

Formats: OCI image specification 1.1 (manifest, index, config) and Docker's image manifest version 2, schema 2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confidential_summarizer.errors import ImageError
from confidential_summarizer.registry.reference import ImageReference

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

OPERATING_SYSTEM, ARCHITECTURE = "linux", "amd64"
"""The only platform of a confidential container group: AMD SEV-SNP hosts running Linux containers."""

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class ImageConfig:
    """The part of an image's config that decides how its containers start."""

    entrypoint: tuple[str, ...] | None
    cmd: tuple[str, ...] | None
    env: tuple[str, ...]
    working_dir: str
    user: str
    stop_signal: str
    architecture: str
    os: str
    diff_ids: tuple[str, ...]


@dataclass(frozen=True)
class LayerDescriptor:
    """One layer: `digest` and `size` are of the bytes as stored, `diff_id` is the digest of the tar inside."""

    digest: str
    size: int
    media_type: str
    diff_id: str


@dataclass(frozen=True)
class ResolvedImage:
    """An image whose every byte is fixed: the manifest's digest leads to the config and to the layers, base first."""

    original: str
    reference: ImageReference
    digest: str
    config: ImageConfig
    layers: tuple[LayerDescriptor, ...]

    @property
    def pinned(self) -> str:
        """`registry/repository@sha256:…` of the manifest for linux/amd64."""
        return str(self.reference.at(self.digest))


_MOST_LISTS = 1 << 16
"""Lists and objects in a document: ten thousands of times what images have; each costs some twenty times its text."""
_MOST_LAYERS = 256
"""Layers of an image: twice what container tools make of one (127)."""


def parse_object(document: bytes, subject: str) -> JsonObject:
    """Read a JSON object.

    Raises:
        ImageError: The bytes are no JSON object, or an absurd one; `subject` names them.
    """
    if document.count(b"[") + document.count(b"{") > _MOST_LISTS:
        raise ImageError(f"{subject} is made of more than {_MOST_LISTS} parts: refused")
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{subject} is not JSON: push the image again") from error
    if not isinstance(value, dict):
        raise ImageError(f"{subject} is not a JSON object: push the image again")
    return value


def media_type(document: JsonObject, declared: str) -> str:
    """A manifest's type: what it says itself, else what the server declared, else what its shape tells."""
    own = document.get("mediaType")
    if isinstance(own, str) and own:
        return own
    if declared in INDEX_TYPES | MANIFEST_TYPES:
        return declared
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST


def choose_manifest(index: JsonObject, subject: str) -> str:
    """The digest of the linux/amd64 manifest in an index; one without a CPU variant goes before one with.

    Raises:
        ImageError: There is none.
    """
    candidates: list[tuple[bool, int, str]] = []
    for entry in _objects(index, "manifests", subject):
        platform = entry.get("platform")
        if not isinstance(platform, dict):
            continue
        if (platform.get("os"), platform.get("architecture")) == (OPERATING_SYSTEM, ARCHITECTURE):
            candidates.append((bool(platform.get("variant")), len(candidates), _digest(entry, subject)))
    if not candidates:
        raise ImageError(
            f"{subject} has no {OPERATING_SYSTEM}/{ARCHITECTURE} image: build and push one for that platform"
        )
    return min(candidates)[2]


def config_descriptor(manifest: JsonObject, subject: str) -> tuple[str, int]:
    """Digest and size of the config that a manifest names."""
    config = manifest.get("config")
    if not isinstance(config, dict):
        raise ImageError(
            f"{subject} names no config: schema 1 manifests and artefacts cannot be measured, push an image"
        )
    return _digest(config, subject), _size(config, subject)


def parse_config(document: JsonObject, subject: str) -> ImageConfig:
    """Read an image's config.

    Raises:
        ImageError: A field has another type than the format gives it, or the image is not for linux/amd64.
    """
    runtime = document.get("config") or {}
    root = document.get("rootfs") or {}
    try:
        config = ImageConfig(
            entrypoint=_strings(runtime.get("Entrypoint")),
            cmd=_strings(runtime.get("Cmd")),
            env=_strings(runtime.get("Env")) or (),
            working_dir=_string(runtime.get("WorkingDir")),
            user=_string(runtime.get("User")),
            stop_signal=_string(runtime.get("StopSignal")),
            architecture=_string(document.get("architecture")),
            os=_string(document.get("os")),
            diff_ids=_strings(root.get("diff_ids")) or (),
        )
    except (TypeError, AttributeError) as error:
        raise ImageError(f"the config of {subject} has a field of the wrong type: push the image again") from error
    if (config.os, config.architecture) != (OPERATING_SYSTEM, ARCHITECTURE):
        raise ImageError(
            f"{subject} is built for {config.os}/{config.architecture}: confidential container groups run "
            f"{OPERATING_SYSTEM}/{ARCHITECTURE} only, build for that platform"
        )
    return config


def parse_layers(manifest: JsonObject, config: ImageConfig, subject: str) -> tuple[LayerDescriptor, ...]:
    """Pair the manifest's layers with the config's diff_ids.

    Raises:
        ImageError: Their numbers differ, or a layer is kept elsewhere than in the registry.
    """
    entries = _objects(manifest, "layers", subject)
    if len(entries) > _MOST_LAYERS:
        raise ImageError(f"{subject} has {len(entries)} layers: no runtime mounts more than {_MOST_LAYERS}")
    if len(entries) != len(config.diff_ids):
        raise ImageError(
            f"{subject} lists {len(entries)} layers but {len(config.diff_ids)} diff_ids: push the image again"
        )
    layers = []
    for entry, diff_id in zip(entries, config.diff_ids, strict=True):
        kind = str(entry.get("mediaType") or "")
        if entry.get("urls") and "foreign" in kind:
            raise ImageError(
                f"{subject} has a foreign layer, which its registry does not hold: rebuild on another base image"
            )
        layers.append(LayerDescriptor(_digest(entry, subject), _size(entry, subject), kind, diff_id))
    return tuple(layers)


def _objects(document: JsonObject, key: str, subject: str) -> list[dict[str, Any]]:
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"{subject} has no list {key!r}: push the image again")
    return entries


def _digest(entry: JsonObject, subject: str) -> str:
    digest = entry.get("digest")
    if not isinstance(digest, str) or not digest.startswith("sha256:") or len(digest) != 71:
        raise ImageError(f"{subject} names a part without a sha256 digest: push the image again")
    return digest


def _size(entry: JsonObject, subject: str) -> int:
    size = entry.get("size")
    if not isinstance(size, int) or size < 0:
        raise ImageError(f"{subject} names a part without a size: push the image again")
    return size


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def _strings(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(type(value))
    return tuple(value)
