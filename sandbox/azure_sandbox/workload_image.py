"""The images: the summarizer, stand-ins for Microsoft's two sidecars, and the operator."""

import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from azure_sandbox.base_image import base
from azure_sandbox.golang import Report
from azure_sandbox.image_build import Image, ImageBuilder
from azure_sandbox.names import REGISTRY
from azure_sandbox.programs import run_program
from azure_sandbox.state import SandboxState, cache_directory, locked
from confidential_summarizer.blueprint import ENCFS_IMAGE, SKR_IMAGE
from confidential_summarizer.errors import SpecError

ROOT = Path(__file__).parents[2]
SIDECARS = ROOT / "sandbox" / "sidecars"
WORKLOAD = ROOT / "workload"
SUMMARIZER_IMAGE = f"{REGISTRY}/summarizer"
OPERATOR_IMAGE = f"{REGISTRY}/confidential-summarizer"
TAG = "demo"

PACKAGES = (
    "ca-certificates",
    "cryptsetup-bin",
    "e2fsprogs",
    "openssl",
    "python3",
    "python3-cffi-backend",  # python3-cryptography asks for it by a virtual name, which debootstrap does not know
    "python3-cryptography",
)
"""For all three images: one base layer is packed, pushed, measured and unpacked once."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_27_x86_64")
"""What glibc 2.36 of Debian 12 runs."""


def build_images(state: SandboxState, report: Report) -> str:
    """Build and push the sidecars' stand-ins and the summarizer; what did not change is skipped.

    Args:
        state: The sandbox's files; its registry and proxy have to run.
        report: Told about each step.

    Returns:
        The summarizer's reference, pinned by digest.

    Raises:
        SpecError: A program is missing, or this is no checkout of the source.
        TransientError: A download, a build or a push failed.
    """
    if not (WORKLOAD / "Containerfile").exists():
        raise SpecError(
            f"the images cannot be built: no Containerfile in {WORKLOAD}; run from a checkout of the source"
        )
    publish_sidecars(state, report)
    return publish_summarizer(state, report)


def publish_sidecars(state: SandboxState, report: Report) -> tuple[str, str]:
    """Build and push the stand-ins for encfs and skr under the real images' names; return their digests."""
    builder = ImageBuilder(state, report)
    root = base("csum-base", PACKAGES, state, report)
    with tempfile.TemporaryDirectory() as authority:
        shutil.copy(state.ca / "ca.pem", authority)
        encfs, skr = (
            Image(
                reference=reference,
                containerfile=SIDECARS / "Containerfile",
                context=SIDECARS,
                base=root,
                target=target,
                contexts={"authority": Path(authority)},
                files=("attested_release", target, f"{target}.sh"),
            )
            for target, reference in (("encfs", ENCFS_IMAGE), ("skr", SKR_IMAGE))
        )
        return builder.publish(encfs), builder.publish(skr)


def publish_summarizer(state: SandboxState, report: Report) -> str:
    """Build and push the summarizer; return its reference, pinned by digest."""
    image = Image(
        reference=f"{SUMMARIZER_IMAGE}:{TAG}",
        containerfile=WORKLOAD / "Containerfile",
        context=WORKLOAD,
        base=base("csum-base", PACKAGES, state, report),
        contexts={"wheels": _wheels("workload", requirements_of("workload"), state, report)},
        files=("summarizer",),
        reusable=True,
    )
    return f"{SUMMARIZER_IMAGE}@{ImageBuilder(state, report).publish(image)}"


def publish_operator(state: SandboxState, report: Report) -> str:
    """Build and push the operator; return its reference, pinned by digest. The demo runs it as a process instead."""
    requirements = [*requirements_of(None), *requirements_of("operator")]
    image = Image(
        reference=f"{OPERATOR_IMAGE}:{TAG}",
        containerfile=ROOT / "operator" / "Containerfile",
        context=ROOT / "operator",
        base=base("csum-base", PACKAGES, state, report),
        contexts={"wheels": _wheels("operator", requirements, state, report)},
        files=("confidential_summarizer",),
        reusable=True,
    )
    return f"{OPERATOR_IMAGE}@{ImageBuilder(state, report).publish(image)}"


def _wheels(name: str, requirements: Sequence[str], state: SandboxState, report: Report) -> Path:
    """A folder with pip and every wheel that the requirements need, downloaded once for each set of them."""
    lock = ROOT / "requirements.lock"
    constraints = lock.read_bytes() if lock.exists() else b""
    digest = hashlib.sha256("\n".join((*requirements, *PLATFORMS)).encode() + constraints).hexdigest()
    folder = cache_directory() / f"{name}-wheels-{digest[:12]}"
    with locked(Path(f"{folder}.lock")):
        if not folder.exists():
            report(f"{name}: downloading wheels")
            with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="wheels-downloading-") as name:
                downloading = Path(name) / "wheels"
                command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(downloading)]
                command += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311"]
                command += ["--abi=abi3", "--abi=none", *(f"--platform={platform}" for platform in PLATFORMS)]
                if constraints:
                    command += ["--constraint", str(lock)]
                run_program([*command, *requirements, "pip"], Path("/"), state.outside_environment())
                (downloading / "requirements.txt").write_text("\n".join(requirements) + "\n")
                downloading.rename(folder)
    return folder


def requirements_of(extra: str | None) -> list[str]:
    """Return the requirements of one of the project's extras, or of all roles, as pyproject.toml writes them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"] if extra is None else project["optional-dependencies"][extra])
