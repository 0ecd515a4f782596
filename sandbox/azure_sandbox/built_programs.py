"""The sandbox's programs, built once from the one Go module in sandbox/programs and kept in the cache folder.

`python -m azure_sandbox.built_programs NAME ARGUMENTS…` runs one of them, and builds them where they are not there yet.
"""

import os
import sys
from pathlib import Path

from azure_sandbox.golang import GoModule, build
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import SpecError

KUBERNETES_VERSION = "1.37.2"
HELM_VERSION = "4.3.1"
"""Both as in sandbox/programs/go.mod."""

_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.split(".")

MODULE = GoModule(
    name="programs",
    version=f"kubernetes-{KUBERNETES_VERSION}",
    source=Path(__file__).parents[1] / "programs",
    # Without these the server calls itself v0.0.0-master+$Format:%H$, which kubectl and helm cannot parse.
    linker_flags=(
        f"-s -w -X {_VERSION_PACKAGE}.gitVersion=v{KUBERNETES_VERSION}"
        f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
        f" -X helm.sh/helm/v4/internal/version.version=v{HELM_VERSION}"
    ),
    # hcsshim leaves its policy engine out of programs that do not ask for it.
    tags="rego",
    links={
        "cluster": (
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubectl",
            "helm",
            "virtualnode",
        )
    },
)


def build_programs(state: SandboxState, report: Report) -> None:
    """Build all programs unless the cache has them, and put those for people where the sandbox's user finds them.

    Raises:
        SpecError, TransientError: As `golang.build` raises them.
    """
    folder = build(MODULE, state.outside_environment(), report)
    for name in ("kubectl", "helm"):
        state.link_command(folder / name)


def built_program(name: str) -> Path:
    """Return one of the programs, which `csum sandbox up` has built: no group starts a build of its own.

    Raises:
        SpecError: It is not built.
    """
    program = MODULE.output / name
    if not program.exists():
        raise SpecError(f"{name} is not built: run `csum sandbox up` again")
    return program


def main() -> None:
    """Become one of the programs."""
    build_programs(SandboxState.from_environment(), lambda line: print(line, file=sys.stderr))  # noqa: T201
    program = built_program(sys.argv[1])
    os.execv(program, [str(program), *sys.argv[2:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
