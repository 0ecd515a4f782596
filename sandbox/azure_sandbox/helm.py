"""Helm, built from its own Go module and cached. `python -m azure_sandbox.helm ARGUMENTS…` runs it."""

import os
import sys
from pathlib import Path

from azure_sandbox.golang import GoModule, Report, build
from azure_sandbox.state import SandboxState

VERSION = "4.3.1"
"""As in sandbox/helm/go.mod."""
SOURCE = Path(__file__).parents[1] / "helm"


def find_helm(state: SandboxState, report: Report) -> Path:
    """Return the helm command, building it at first use (two minutes on two cores).

    Raises:
        SpecError, TransientError: As `golang.build` raises them.
    """
    return build(_module(), state.outside_environment(), report) / "helm"


def built_helm() -> Path:
    """Return where the helm command is, or would be once it is built."""
    return _module().output / "helm"


def _module() -> GoModule:
    version = f"-X helm.sh/helm/v4/internal/version.version=v{VERSION}"
    return GoModule("helm", VERSION, SOURCE, f"-s -w {version}", packages="tool")


def main() -> None:
    """Become helm."""
    state = SandboxState.from_environment()
    helm = find_helm(state, lambda line: print(line, file=sys.stderr))  # noqa: T201
    os.execv(helm, [str(helm), *sys.argv[1:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
