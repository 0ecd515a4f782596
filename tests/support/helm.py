"""The real helm on our chart."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from azure_sandbox.built_programs import MODULE
from azure_sandbox.golang import build
from azure_sandbox.state import SandboxState

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "confidential-summarizer"


class Helm:
    """Runs helm on the chart with given values."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self.program = build(MODULE, state.outside_environment(), lambda _: None) / "helm"

    def run(self, *words: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        file = self.state.home / "values.json"
        file.write_text(json.dumps(values or {}))
        command = [str(self.program), *words, str(CHART), "-f", str(file), "--namespace", "operators"]
        environment = {"KUBECONFIG": str(self.state.kubeconfig), "HOME": str(self.state.home)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def objects(self, **values: Any) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what the chart renders to, by kind and name."""
        result = self.run("template", "csum", values=values)
        assert result.returncode == 0, result.stderr
        documents = [d for d in yaml.safe_load_all(result.stdout) if d]
        return {(d["kind"], d["metadata"]["name"]): d for d in documents}
