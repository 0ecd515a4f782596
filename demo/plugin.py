"""`python -m demo.plugin VERSION REPOSITORY FOLDER`: `kubectl csum` for krew, as an archive and its manifest.

The archive holds no program, only a script that runs the release it came with: one is right for every platform.
"""

import argparse
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from demo.wheels import ROOT

ARCHIVE = "kubectl-csum.tar.gz"
MANIFEST = "csum.yaml"
"""krew wants it to be named for the plugin."""

# CSUM_ASKED ends the circle where somebody's own script `csum` calls `kubectl csum`.
SCRIPT = """\
#!/bin/sh
# Runs this version and no other: the csum that is installed, or what uv or pipx bring.
version='{version}'
package="confidential-summarizer[owner]==$version"
if [ -z "$CSUM_ASKED" ] && [ "$(CSUM_ASKED=1 csum --version 2>/dev/null)" = "csum, version $version" ]; then
  exec csum "$@"
elif command -v uvx >/dev/null; then
  exec uvx --from "$package" kubectl-csum "$@"
elif command -v pipx >/dev/null; then
  exec pipx run --spec "$package" kubectl-csum "$@"
fi
echo "kubectl csum found neither csum $version nor uv nor pipx: install uv or pipx, or run pip install '$package'" >&2
exit 3
"""

DESCRIPTION = """\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: csum
spec:
  version: v{version}
  homepage: {repository}
  shortDescription: Check, explain and steer confidential summarizers
  caveats: It needs uv or pipx, which fetch confidential-summarizer {version} at the first use.
  platforms:
    - selector:
        matchExpressions:
          - {{key: os, operator: In, values: [linux, darwin]}}
          - {{key: arch, operator: In, values: [amd64, arm64]}}
      uri: {repository}/releases/download/v{version}/{archive}
      sha256: {sha256}
      bin: kubectl-csum
"""


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(prog="python -m demo.plugin", description=__doc__)
    parser.add_argument("version", help="of the release, as 1.2.3")
    parser.add_argument("repository", help="whose releases have it, as https://github.com/OWNER/NAME")
    parser.add_argument("folder", type=Path, help="where both files go")
    arguments = parser.parse_args()
    packed = pack(SCRIPT.format(version=arguments.version))
    (arguments.folder / ARCHIVE).write_bytes(packed)
    about = {**vars(arguments), "archive": ARCHIVE, "sha256": hashlib.sha256(packed).hexdigest()}
    (arguments.folder / MANIFEST).write_text(DESCRIPTION.format(**about), encoding="utf-8")


def pack(script: str) -> bytes:
    """Return a tar.gz of the script and the license: of the same script the same bytes."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        license_text = (ROOT / "LICENSE").read_bytes()
        for name, mode, content in (("LICENSE", 0o644, license_text), ("kubectl-csum", 0o755, script.encode())):
            entry = tarfile.TarInfo(name)  # root's, of 1970
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)


if __name__ == "__main__":
    main()
