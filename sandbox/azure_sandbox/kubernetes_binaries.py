"""The programs of the control plane: those that are there already, or our own build of the real ones."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from azure_sandbox.golang import GoModule, Report, build
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import SpecError

VERSION = "1.37.2"
"""Kubernetes' version in cluster/go.mod."""

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")

OLDEST_ETCD = (3, 5)
"""Earlier ones lack RequestWatchProgress, and Kubernetes' controllers then see stale reads."""

_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = VERSION.split(".")

MODULE = GoModule(
    name="kubernetes",
    version=VERSION,
    source=Path(__file__).parent.parent / "cluster",
    # Without these the server calls itself v0.0.0-master+$Format:%H$, which kubectl and helm cannot parse.
    linker_flags=(
        f"-s -w -X {_VERSION_PACKAGE}.gitVersion=v{VERSION}"
        f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
    ),
)


def find_programs(state: SandboxState, report: Report) -> dict[str, Path]:
    """Find each of `PROGRAMS`: in KUBEBUILDER_ASSETS, else on PATH if a whole set is there, else built by us.

    Raises:
        SpecError: KUBEBUILDER_ASSETS names no folder.
        TransientError: The build failed.
    """
    found = _named_by_environment()
    if len(found) < len(PROGRAMS) and (on_path := _on_path()):
        found = {**on_path, **found}
    if len(found) < len(PROGRAMS):
        folder = build(MODULE, state.outside_environment(), report)
        found = {**{name: folder / name for name in PROGRAMS}, **found}
    return found


def find_kubectl(state: SandboxState, report: Report) -> Path:
    """Find kubectl alone, for a sandbox on a cluster that is there already; any version on PATH will do."""
    if named := _named_by_environment().get("kubectl"):
        return named
    if on_path := shutil.which("kubectl"):
        return Path(on_path)
    return find_programs(state, report)["kubectl"]


def _named_by_environment() -> dict[str, Path]:
    """What KUBEBUILDER_ASSETS holds; the convention of the Kubernetes test tools, often without the controllers."""
    value = os.environ.get("KUBEBUILDER_ASSETS")
    if not value:
        return {}
    folder = Path(value).absolute()
    if not folder.is_dir():
        raise SpecError(
            f"KUBEBUILDER_ASSETS names {folder}, which is no folder; correct it, or unset it to build our own"
        )
    return {name: folder / name for name in PROGRAMS if os.access(folder / name, os.X_OK)}


def _on_path() -> dict[str, Path] | None:
    """The programs on PATH, if all are there and etcd is new enough; parts of a control plane are not mixed."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    paths = {name: Path(path) for name, path in found.items() if path}
    if len(paths) < len(PROGRAMS) or _etcd_version(paths["etcd"]) < OLDEST_ETCD:
        return None
    return paths


def _etcd_version(etcd: Path) -> tuple[int, int]:
    answer = subprocess.run([etcd, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"etcd Version: (\d+)\.(\d+)", answer)
    return (int(match[1]), int(match[2])) if match else (0, 0)
