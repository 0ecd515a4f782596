"""The images: the summarizer, a stand-in for Microsoft's encfs sidecar, and the operator."""

from functools import partial
from pathlib import Path

from azure_sandbox.base_image import base
from azure_sandbox.image_build import Image, ImageBuilder
from azure_sandbox.names import REGISTRY
from azure_sandbox.progress import Report, SideBySide
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.spec import Sidecars
from demo.wheels import requirements_of, wheels_for

ROOT = Path(__file__).parents[1]
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
"""For all images."""


def download(state: SandboxState, report: Report) -> None:
    """Fetch what the images are made of, which needs nothing of the sandbox.

    Raises:
        SpecError: debootstrap is not installed, or the user is not root.
        TransientError: A download failed.
    """
    with SideBySide(report) as parts:
        parts.start(partial(_base, state))
        parts.start(partial(_wheels, state))


def build_images(state: SandboxState, report: Report) -> str:
    """Build and push the sidecar's stand-in and the summarizer; what did not change is skipped.

    Args:
        state: The sandbox's files; its registry and proxy have to run.
        report: Told about each step.

    Returns:
        The summarizer's reference, pinned by digest.

    Raises:
        SpecError: A program is missing.
        TransientError: A download, a build or a push failed.
    """
    publish_sidecar(state, report)
    return publish_summarizer(state, report)


def publish_sidecar(state: SandboxState, report: Report) -> str:
    """Build and push the stand-in for encfs under the real image's name; return its digest."""
    image = Image(
        reference=Sidecars().encfs,
        containerfile=SIDECARS / "Containerfile",
        context=SIDECARS,
        base=_base(state, report),
        files=("attested_release", "encfs", "encfs.sh"),
    )
    return ImageBuilder(state, report).publish(image)


def publish_summarizer(state: SandboxState, report: Report) -> str:
    """Build and push the summarizer; return its reference, pinned by digest."""
    image = summarizer_image(f"{SUMMARIZER_IMAGE}:{TAG}", state, report)
    return f"{SUMMARIZER_IMAGE}@{ImageBuilder(state, report).publish(image)}"


def publish_operator(state: SandboxState, report: Report) -> str:
    """Build and push the operator; return its reference, pinned by digest. The demo runs it as a process instead."""
    image = operator_image(f"{OPERATOR_IMAGE}:{TAG}", state, report)
    return f"{OPERATOR_IMAGE}@{ImageBuilder(state, report).publish(image)}"


def summarizer_image(reference: str, state: SandboxState, report: Report) -> Image:
    """Return what the summarizer's image is made of, with all of it there."""
    return Image(
        reference=reference,
        containerfile=WORKLOAD / "Containerfile",
        context=WORKLOAD,
        base=_base(state, report),
        contexts={"wheels": _wheels(state, report)},
        files=("root_file_system.py", "summarizer"),
        reusable=True,
    )


def operator_image(reference: str, state: SandboxState, report: Report) -> Image:
    """Return what the operator's image is made of, with all of it there."""
    requirements = requirements_of(".", "operator")
    return Image(
        reference=reference,
        containerfile=ROOT / "operator" / "Containerfile",
        context=ROOT / "operator",
        base=_base(state, report),
        contexts={"wheels": wheels_for("operator", requirements, state, report)},
        files=("confidential_summarizer",),
        reusable=True,
    )


def _base(state: SandboxState, report: Report) -> Path:
    """All three images are made from it; of the summarizer's, only what it needs stays."""
    return base("csum-base", PACKAGES, state, report)


def _wheels(state: SandboxState, report: Report) -> Path:
    return wheels_for("workload", requirements_of("workload"), state, report)
