import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("distribution", [".", "workload", "sandbox"])
def test_the_chart_carries_the_version_of_a_build_that_nobody_released(distribution):
    project = tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())
    chart = yaml.safe_load((ROOT / "charts/confidential-summarizer/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["tool"]["hatch"]["version"]["fallback-version"]
