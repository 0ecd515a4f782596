"""The SHA-256 manifest of a model directory: `SHA256SUMS`, in the format of coreutils' `sha256sum`.

`python -m summarizer.manifest DIR` writes it; `sha256sum --check SHA256SUMS` reads it too.
"""

import hashlib
import re
import sys
from pathlib import Path
from typing import Final

from summarizer.content import ModelFiles
from summarizer.errors import ManifestError

MANIFEST_NAME: Final = "SHA256SUMS"
# Two blanks: binary and text mode are the same on Linux. No newline or backslash in names, so nothing is escaped.
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\\\n]+)")


def write_manifest(directory: Path) -> Path:
    """Write the manifest of every file below `directory`, and return its path."""
    lines = [f"{file_digest(directory / name)}  {name}\n" for name in _file_names(directory)]
    path = directory / MANIFEST_NAME
    path.write_text("".join(lines), encoding="utf-8")
    return path


def verify_manifest(name: str, files: ModelFiles) -> str:
    """Check that a model has exactly the files of its manifest, byte for byte.

    Who changes a file can change this manifest too: it finds accidents. The pin is the content manifest or the image.

    Args:
        name: The model's name, for messages.
        files: Its files.

    Returns:
        The SHA-256 of the manifest, 64 hex digits: the identity of the model.

    Raises:
        ManifestError: The manifest is missing or malformed, or a file is missing, extra or different.
    """
    digest = manifest_digest(name, files)
    listed = _parse(files[MANIFEST_NAME])
    present = files.keys() - {MANIFEST_NAME}
    if problems := sorted(listed.keys() ^ present):
        state = "missing" if problems[0] in listed else "not in the manifest"
        raise ManifestError(
            f"model file {problems[0]} of {name} is {state}: restore the directory or redo the manifest"
        )
    for path, recorded in sorted(listed.items()):
        if hashlib.sha256(files[path]).hexdigest() != recorded:
            raise ManifestError(f"model file {path} of {name} differs from its SHA-256: restore it")
    return digest


def manifest_digest(name: str, files: ModelFiles) -> str:
    """Return the SHA-256 of a model's manifest, without looking at the files that it lists.

    Raises:
        ManifestError: There is none.
    """
    if MANIFEST_NAME not in files:
        raise ManifestError(f"{name} has no {MANIFEST_NAME}: write one with `python -m summarizer.manifest DIR`")
    return hashlib.sha256(files[MANIFEST_NAME]).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(manifest: bytes) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(manifest.decode("utf-8", errors="replace").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or match.group(2) in listed:
            raise ManifestError(f"{MANIFEST_NAME} line {number} is malformed or repeats a name: redo the manifest")
        listed[match.group(2)] = match.group(1)
    return listed


def _file_names(directory: Path) -> list[str]:
    files = (path for path in directory.rglob("*") if not path.is_dir())
    return sorted(name for path in files if (name := path.relative_to(directory).as_posix()) != MANIFEST_NAME)


if __name__ == "__main__":
    write_manifest(Path(sys.argv[1]))
