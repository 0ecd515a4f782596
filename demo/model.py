"""A model of the user's own for the demo: a directory, or a name on the hub."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from azure_sandbox.progress import Report
from confidential_summarizer.cli.models import model_name
from confidential_summarizer.errors import SpecError, TransientError
from summarizer.manifest import MANIFEST_NAME

NEEDED = ("torch", "transformers")
FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
"""What a checkpoint is made of; other frameworks' weights are left out."""
TEXTS = Path(__file__).parents[1] / "examples" / "documents"
"""What the precisions are compared on."""


def prepare_model(model: str, folder: Path, report: Report) -> tuple[Path, str]:
    """Take a model that `csum models prepare` made, or convert one as it does.

    Args:
        model: A directory with such a model or a checkpoint, or a hub name such as google-t5/t5-small.
        folder: Where the converted one is put.
        report: Told about each step.

    Returns:
        The folder to seal, and the model's name in it.

    Raises:
        SpecError: The reference engine, which converts, is not installed, or the directory is no checkpoint.
        TransientError: The download or the conversion failed.
    """
    name = model_name(Path(model).resolve().name)
    target = folder / "own-models" / name
    made = (Path(model) / MANIFEST_NAME).exists()
    if (target / MANIFEST_NAME).exists() and not made:
        return target.parent, name
    shutil.rmtree(target.parent, ignore_errors=True)
    if made:
        shutil.copytree(model, target)
        return target.parent, name
    if any(importlib.util.find_spec(module) is None for module in NEEDED):
        raise SpecError(
            "a checkpoint has to be converted first, which needs torch and transformers (5.5 GB): run "
            "`.venv/bin/pip install -e './workload[reference]'`, then repeat"
        )
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
