"""What several component tests start from."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_sandbox.state import SandboxState
from tests.support.helm import Helm


@pytest.fixture(scope="module")
def helm() -> Iterator[Helm]:
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        yield Helm(state)
