"""A unit test that hangs fails by name instead of holding up the run."""

from pathlib import Path

import pytest

UNIT = Path(__file__).parent
SECONDS = 60
"""Far more than any needs on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        measured = item.get_closest_marker("slow") or item.get_closest_marker("reference")
        if item.path.is_relative_to(UNIT) and not measured and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))
