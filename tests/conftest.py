"""Shared by all tests: the tree itself is importable as `tests`, so that support code has one home."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1]))

# A busy machine makes any example slow; the limit on the whole test tells what hangs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# A shell that starts the tests in the background has them ignore SIGINT, and so all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Keep what is approved in tests out of the record of whoever runs them, and that out of the tests."""
    state = tempfile.TemporaryDirectory(prefix="csum-state-")
    config.add_cleanup(state.cleanup)
    os.environ["XDG_STATE_HOME"] = state.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a program that a machine with Python alone has not; CI has all of them."""
    wanted = [name for mark in item.iter_markers("needs") for name in mark.args]
    # Debian keeps some programs where an ordinary user's PATH does not look.
    missing = [name for name in wanted if not (shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"))]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: make setup-sandbox")
