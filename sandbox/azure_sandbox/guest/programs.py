"""Microsoft's own code in the guest: what judges requests, and what makes a device of a layer (hcsshim v0.15.0)."""

from functools import cache
from pathlib import Path

from azure_sandbox.golang import GoModule
from confidential_summarizer.errors import SpecError

MODULE = GoModule(
    name="guest",
    version="0.15.0",
    source=Path(__file__).parents[2] / "programs" / "guest",
    # hcsshim leaves its policy engine out of programs that do not ask for it.
    tags="rego",
)


@cache
def _folder() -> Path:
    return MODULE.output


def find_program(name: str) -> Path:
    """Return one of the module's commands, which `csum sandbox up` has built: no group starts a build of its own.

    Raises:
        SpecError: It is not built.
    """
    program = _folder() / name
    if not program.exists():
        raise SpecError(f"the guest's {name} is not built: run `csum sandbox up` again")
    return program
