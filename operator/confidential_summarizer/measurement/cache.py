"""Root hashes that are known already, by diff_id.

A diff_id fixes every byte of a layer's tar, and so its root hash: an entry never ages. Each entry carries its own
digest and the version of the measurement, so that a damaged or foreign one counts as absent.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from confidential_summarizer.measurement.layer import MeasuredLayer

_VERSION = 1
"""Raise it whenever the same tar would be measured differently."""
_REMEMBERED = 16384
"""Layers in memory, a kilobyte each; whoever pushes images decides how many there are."""
_DIFF_ID = re.compile(r"sha256:([0-9a-f]{64})")


class LayerCache(Protocol):
    """Remembers what a layer was measured as."""

    def get(self, diff_id: str) -> MeasuredLayer | None:
        """The measurement of the tar with this digest, if it is known."""
        ...

    def put(self, layer: MeasuredLayer) -> None:
        """Remember a measurement made here."""
        ...


class MemoryCache:
    """Keeps the latest measurements in memory."""

    def __init__(self) -> None:
        self._layers: OrderedDict[str, MeasuredLayer] = OrderedDict()

    def get(self, diff_id: str) -> MeasuredLayer | None:
        """The measurement of the tar with this digest, if it is known."""
        return self._layers.get(diff_id)

    def put(self, layer: MeasuredLayer) -> None:
        """Remember a measurement made here."""
        self._layers[layer.diff_id] = layer
        while len(self._layers) > _REMEMBERED:
            self._layers.popitem(last=False)


class DiskCache:
    """Keeps each measurement in a file of its own; safe for several processes, as files appear whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()

    def get(self, diff_id: str) -> MeasuredLayer | None:
        """The measurement of the tar with this digest, if it is known."""
        path = self._path(diff_id)
        try:
            return decode(path.read_text(encoding="utf-8"), diff_id) if path else None
        except (OSError, UnicodeDecodeError):
            return None

    def put(self, layer: MeasuredLayer) -> None:
        """Remember a measurement made here; a cache that cannot be written to is left alone."""
        path = self._path(layer.diff_id)
        if path is None:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(encode(layer))
                Path(temporary).replace(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)

    def _path(self, diff_id: str) -> Path | None:
        matched = _DIFF_ID.fullmatch(diff_id)
        return self._folder / matched.group(1)[:2] / f"{matched.group(1)}.json" if matched else None


def default_folder() -> Path:
    """Where the command line keeps its cache: under `XDG_CACHE_HOME`, or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "confidential-summarizer" / f"layers-{_VERSION}"


def encode(layer: MeasuredLayer) -> str:
    """An entry's text: version, measurement, and the digest over both."""
    fields = {"version": _VERSION, "layer": layer.to_json()}
    return json.dumps(fields | {"digest": _digest(fields)}, sort_keys=True)


def decode(text: str, diff_id: str) -> MeasuredLayer | None:
    """The measurement in an entry, or none if the entry is damaged, of another version or of another tar."""
    try:
        fields = json.loads(text)
        digest = fields.pop("digest")
        if digest != _digest(fields) or fields["version"] != _VERSION:
            return None
        layer = MeasuredLayer.from_json(fields["layer"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return layer if layer.diff_id == diff_id else None


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
