"""The SHA-256 manifest of a model directory: `SHA256SUMS`, in the format of coreutils' `sha256sum`.

`python -m summarizer.manifest DIR` writes it; `sha256sum --check SHA256SUMS` reads it too.
"""

import hashlib
import re
import sys
from pathlib import Path
from typing import Final

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


def verify_manifest(directory: Path, expected: str | None = None) -> str:
    """Check that `directory` holds exactly the files of its manifest, byte for byte.

    Args:
        directory: The model directory.
        expected: SHA-256 that the manifest itself must have, or None where it is trusted as it is (because it is
            part of a measured image).

    Returns:
        The SHA-256 of the manifest, 64 hex digits: the identity of the model.

    Raises:
        ManifestError: The manifest is missing or malformed, or a file is missing, extra or different.
    """
    path = directory / MANIFEST_NAME
    if not path.is_file():
        raise ManifestError(f"{directory} has no {MANIFEST_NAME}: write one with `python -m summarizer.manifest DIR`")
    digest = file_digest(path)
    if expected is not None and digest != expected:
        raise ManifestError(f"{path} has SHA-256 {digest}, but SUMMARIZER_MODEL_SHA256 pins {expected}")
    listed = _parse(path)
    present = set(_file_names(directory))
    if problems := sorted(listed.keys() ^ present):
        name = problems[0]
        state = "missing" if name in listed else "not in the manifest"
        raise ManifestError(f"model file {name} in {directory} is {state}: restore the directory or redo the manifest")
    for name, recorded in sorted(listed.items()):
        if file_digest(directory / name) != recorded:
            raise ManifestError(f"model file {name} in {directory} differs from its SHA-256: restore it")
    return digest


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or match.group(2) in listed:
            raise ManifestError(f"{path} line {number} is malformed or repeats a name: redo the manifest")
        listed[match.group(2)] = match.group(1)
    return listed


def _file_names(directory: Path) -> list[str]:
    files = (path for path in directory.rglob("*") if not path.is_dir())
    return sorted(name for path in files if (name := path.relative_to(directory).as_posix()) != MANIFEST_NAME)


if __name__ == "__main__":
    write_manifest(Path(sys.argv[1]))
