"""A model of the user's own for the demo: a directory, or a name on the hub."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from azure_sandbox.progress import Report
from confidential_summarizer.errors import SpecError, TransientError

NEEDED = ("torch", "transformers")
FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
"""What a checkpoint is made of; other frameworks' weights are left out."""
TEXTS = Path(__file__).parents[1] / "examples" / "documents"
"""What the precisions are compared on."""


def prepare_model(model: str, folder: Path, report: Report) -> tuple[Path, str]:
    """Convert a model for the default engine, with a manifest over its files.

    Args:
        model: A directory with a checkpoint, or a hub name such as google-t5/t5-small.
        folder: Where the converted one is put.
        report: Told about each step.

    Returns:
        The folder to seal, and the model's name in it.

    Raises:
        SpecError: The reference engine, which converts, is not installed, or the directory is no checkpoint.
        TransientError: The download or the conversion failed.
    """
    if any(importlib.util.find_spec(module) is None for module in NEEDED):
        raise SpecError(
            "a model of your own has to be converted first, which needs torch and transformers (5.5 GB): run "
            "`.venv/bin/pip install -e './workload[reference]'`, then repeat"
        )
    name = "".join(c if c.isalnum() else "-" for c in Path(model).name.lower()).strip("-")
    target = folder / "own-models" / name
    if not (target / "SHA256SUMS").exists():
        shutil.rmtree(target, ignore_errors=True)
        source = _source(model, report)
        report(f"converting {model}, and measuring what a smaller precision costs")
        _run("summarizer.convert", source, target, "--texts", TEXTS)
    return target.parent, name


def _source(model: str, report: Report) -> Path:
    if Path(model).is_dir():
        if not (Path(model) / "config.json").exists():
            raise SpecError(f"{model} holds no config.json: name the directory of a transformers checkpoint")
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    report(f"downloading {model}")
    try:
        return Path(snapshot_download(model, allow_patterns=list(FILES)))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise TransientError(
            f"{model} cannot be downloaded ({type(error).__name__}): name a directory instead"
        ) from None


def _run(module: str, *arguments: object) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        last = result.stderr.strip().splitlines()[-1:]
        raise TransientError(f"`{module}` failed: {''.join(last)}")
