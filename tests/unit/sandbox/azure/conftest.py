"""The stand-ins in this process: one aiohttp application per test, guests scripted by their image's tag."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from azure_sandbox.azure.stand_ins import assemble
from azure_sandbox.state import SandboxState
from tests.support.azure_client import Azure
from tests.support.scripted_guest import ScriptedGuest


@pytest.fixture(scope="session")
def seed():
    """One set of keys and certificates for all tests: making them takes longer than the tests."""
    with tempfile.TemporaryDirectory(prefix="csum-seed-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        assemble(state, ScriptedGuest)
        yield state


@pytest.fixture
def state(seed):
    with tempfile.TemporaryDirectory(prefix="csum-") as home:  # short: unix sockets lie below it
        shutil.copytree(seed.home, home, dirs_exist_ok=True)
        yield SandboxState(Path(home))


@pytest.fixture
def run_azure(state):
    @contextlib.asynccontextmanager
    async def run():
        stand_ins = assemble(state, ScriptedGuest)
        async with TestClient(TestServer(stand_ins.application)) as client:
            await stand_ins.groups.restore()
            yield Azure(stand_ins, client)
            await stand_ins.groups.close()

    return run


@pytest.fixture
async def azure(run_azure):
    async with run_azure() as azure:
        yield azure
