"""OCI images built without a container engine, and pushed to the sandbox's registry under their real names.

buildah runs the build steps in a plain chroot. Its storage lies in the cache folder, apart from the user's own.
A build is skipped while nothing that goes into the image changed and the registry still has it.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from azure_sandbox.names import CLIENT_ID, CLIENT_SECRET, PUBLIC_REGISTRY, REGISTRY
from azure_sandbox.programs import find_program, run_program
from azure_sandbox.progress import Report
from azure_sandbox.registry import has_manifest
from azure_sandbox.state import SandboxState, cache_directory, locked, write_private
from confidential_summarizer.errors import TransientError

RECIPE = "2"
"""Raise it when the same inputs make another image."""

EPOCH = "0"
"""Time of everything that a build makes, so that the same inputs make the same image on any machine and any day."""

UNWRITTEN = ("org.opencontainers.image.base.digest", "org.opencontainers.image.base.name")
"""Annotations about the base as this machine imported it, which happened at some time."""

STORAGE_DRIVERS = ("overlay", "vfs")
"""Ways to keep layers, the first that works: overlay mounts, or whole copies."""

IGNORED = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")


@dataclass(frozen=True)
class Image:
    """An image to build.

    Attributes:
        reference: Where it goes, with a tag.
        containerfile: Its recipe; the build argument BASE names the base image.
        context: The folder that COPY reads.
        base: Tar of the root file system that it starts from.
        contexts: More folders, by the name that `COPY --from` uses; a build argument in capitals holds a hash of each.
        files: What of the folders goes into the image, relative to the context; everything if empty.
        reusable: Whether steps whose input did not change are taken from earlier builds.
    """

    reference: str
    containerfile: Path
    context: Path
    base: Path
    contexts: Mapping[str, Path] = field(default_factory=dict)
    files: Sequence[str] = ()
    reusable: bool = False

    @property
    def key(self) -> str:
        """A hash over everything that goes into the image."""
        digest = hashlib.sha256(f"{RECIPE}\0{self.reference}\0{self.base.name}\0".encode())
        digest.update(self.containerfile.read_bytes())
        for folder in (self.contexts[name] for name in sorted(self.contexts)):
            digest.update(_digest(folder).encode())
        digest.update(_digest(self.context, self.files).encode())
        return digest.hexdigest()


_BUILD = ("build", "--quiet", "--format=oci", "--pull=never", f"--timestamp={EPOCH}")


class ImageBuilder:
    """Builds images and pushes them to the registry of a sandbox.

    Args:
        state: The sandbox's files; its registry and proxy have to run.
        report: Told about each step.
        network: Settings with which images are pushed; if None, those of the sandbox's clients and the credentials of
            whoever makes the sandbox's images.
    """

    def __init__(self, state: SandboxState, report: Report, network: Mapping[str, str] | None = None) -> None:
        self.state = state
        self.report = report
        self.network = self._own_network() if network is None else network

    def publish(self, image: Image) -> str:
        """Build and push an image unless the registry has it already.

        Returns:
            The digest of its manifest, `sha256:…`.

        Raises:
            SpecError: buildah is not installed.
            TransientError: The build or the push failed.
        """
        with locked(self.state.home / "images.lock"):
            records = self._records()
            record = records.get(image.reference)
            if record and record["key"] == image.key and has_manifest(self.state, image.reference, record["digest"]):
                self.report(f"{image.reference}: unchanged")
                return record["digest"]
            with locked(cache_directory() / "containers.lock"):
                self.report(f"{image.reference}: building")
                built = self._build(image)
                self.report(f"{image.reference}: pushing")
                digest = self._push(built, image.reference)
                self._tidy()
            records[image.reference] = {"key": image.key, "digest": digest}
            write_private(self._records_file, json.dumps(records, indent=2, sort_keys=True) + "\n")
            return digest

    def _build(self, image: Image) -> str:
        name = f"localhost/{image.reference.rpartition('/')[2]}"
        steps = f"{name}-steps"
        command = [*_BUILD, "--build-arg", f"BASE={self._base(image.base)}"]
        command += [f"--layers={str(image.reusable).lower()}", "--file", str(image.containerfile), "--tag", steps]
        for key, folder in image.contexts.items():
            command += [f"--build-context={key}={folder}", f"--build-arg={key.upper()}={_digest(folder)}"]
        with tempfile.NamedTemporaryFile("w", prefix="ignore-") as ignore:
            ignore.write("\n".join(f"**/{pattern}" for pattern in IGNORED))
            ignore.flush()
            self._buildah(*command, "--ignorefile", ignore.name, str(image.context))
        self._forget_history(steps, name)
        return name

    def _forget_history(self, steps: str, name: str) -> None:
        """Name an image without the times of its history; buildah reuses no layer of an image that has none."""
        with tempfile.TemporaryDirectory(prefix="image-") as folder:
            (Path(folder) / "Containerfile").write_text(f"FROM {steps}\n")
            annotations = (f"--annotation={name}=" for name in UNWRITTEN)
            self._buildah(*_BUILD, "--omit-history", *annotations, "--tag", name, folder)

    def _base(self, tar: Path) -> str:
        """The base image in buildah's storage, imported from its tar at first use."""
        name = f"localhost/{tar.stem}-{RECIPE}"
        if not self._buildah("images", "--quiet", "--filter", f"reference={name}").strip():
            self.report("base image: importing")
            container = self._buildah("from", "scratch").strip()
            try:
                self._buildah("add", "--quiet", container, str(tar), "/")
                self._buildah(
                    "config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container
                )
                self._buildah("commit", "--quiet", "--format=oci", container, name)
            finally:
                self._buildah("rm", container)
        return name

    def _push(self, name: str, reference: str) -> str:
        with tempfile.NamedTemporaryFile("r", prefix="digest-") as digest:
            # The fastest compression: the bytes go from this machine to this machine.
            options = ["--quiet", "--compression-format=gzip", "--compression-level=1", "--digestfile", digest.name]
            self._buildah("push", *options, name, f"docker://{reference}", environment=self.network)
            return digest.read().strip()

    def _tidy(self) -> None:
        """Remove working containers, of which buildah 1.28 leaves one a build, and what no image's name leads to."""
        self._buildah("rm", "--all")
        self._buildah("rmi", "--prune")

    def _buildah(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        program = find_program("buildah", "buildah")
        settings = {**self.state.outside_environment(), **(environment or {}), "BUILDAH_ISOLATION": "chroot"}
        command = ["nice", "-n", "5", program, *self._storage, *arguments]
        return run_program(command, Path("/"), settings)

    @cached_property
    def _storage(self) -> list[str]:
        """Where buildah keeps its layers, and how: overlay if this file system allows it, whole copies if not."""
        folder = cache_directory() / "containers"
        for driver in STORAGE_DRIVERS:
            place = folder / driver
            place.mkdir(parents=True, exist_ok=True)
            options = ["--root", str(place / "storage"), "--runroot", str(place / "run"), "--storage-driver", driver]
            program = find_program("buildah", "buildah")
            try:
                run_program([program, *options, "info"], Path("/"), self.state.outside_environment())
            except TransientError:
                continue
            return options
        raise TransientError(
            f"buildah cannot keep images in {folder}: it takes neither overlay nor plain folders there"
        )

    def _own_network(self) -> dict[str, str]:
        """Sign in to the registries as the application that may push to them, in the file that buildah reads."""
        entry = {"auth": base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()}
        logins = self.state.home / "registry-logins.json"
        write_private(logins, json.dumps({"auths": {REGISTRY: entry, PUBLIC_REGISTRY: entry}}))
        return {**self.state.client_environment(), "REGISTRY_AUTH_FILE": str(logins)}

    @property
    def _records_file(self) -> Path:
        return self.state.home / "images.json"

    def _records(self) -> dict[str, dict[str, str]]:
        """What was pushed, by reference: the key of its content and its digest."""
        if not self._records_file.exists():
            return {}
        records: dict[str, dict[str, str]] = json.loads(self._records_file.read_text())
        return records


def _digest(folder: Path, wanted: Sequence[str] = ()) -> str:
    """A hash over names, contents and execute bits of the files below a folder, or below some entries of it."""
    digest = hashlib.sha256()
    for path in _files(folder, wanted):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Path, wanted: Sequence[str]) -> Iterable[Path]:
    roots = [folder / name for name in wanted] or [folder]
    found = (path for root in roots for path in ([root] if root.is_file() else root.rglob("*")))
    return sorted(path for path in found if path.is_file() and not set(path.parts) & set(IGNORED))
