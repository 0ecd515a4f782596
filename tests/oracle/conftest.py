"""Builds Microsoft's own programs, which ours are compared with: the very ones that judge in the sandbox's guest."""

import os
from pathlib import Path

import pytest

from azure_sandbox.built_programs import MODULE
from azure_sandbox.golang import build


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with all of the sandbox's programs."""
    return build(MODULE, dict(os.environ), print)


@pytest.fixture(scope="session")
def layerhash(programs: Path) -> Path:
    """The converter that makes a device of a layer."""
    return programs / "layerhash"


@pytest.fixture(scope="session")
def guestpolicy(programs: Path) -> Path:
    """The guest agent's policy engine."""
    return programs / "guestpolicy"
