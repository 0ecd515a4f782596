"""`csum models`: checkpoints from a hub made ready to be sealed, by the workload's own converter."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click

from confidential_summarizer.cli.console import SentenceGroup, emit, note, output_option
from confidential_summarizer.errors import SpecError

NEEDED = ("summarizer", "ctranslate2", "transformers", "torch")
"""What the converter is made of; none of it comes with csum, which runs where no model does."""

PRECISIONS = ("int8_float32", "float16", "float32")
"""What the converter knows, the smallest and fastest first."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A model's name, as `spec.summarizer.models` takes it."""


@click.group(cls=SentenceGroup)
def models() -> None:
    """Models: checkpoints from a hub made ready to be sealed."""


@models.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="models", show_default=True, help="Folder for models.")
@click.option("--name", help="The model's name, by which readers choose it.  [default: from the checkpoint's folder]")
@click.option("--texts", type=click.Path(path_type=Path), help="Folder of .txt files to compare precisions on.")
@click.option("--quantization", type=click.Choice(PRECISIONS), help="Take this precision without comparing.")
@output_option
def prepare(
    checkpoint: Path, out: Path, name: str | None, texts: Path | None, quantization: str | None, output: str
) -> None:
    """Make a model of CHECKPOINT, a folder with config.json, tokenizer and safetensors, as it comes from a hub.

    The weights are converted to the smallest precision that gives the same summaries of the texts. Nothing is fetched,
    and no code of the checkpoint is run. Then seal the folder with all models: `csum seal`.
    """
    if (texts is None) == (quantization is None):
        raise click.UsageError("Give --texts, a folder of .txt files to compare precisions on, or --quantization.")
    if not checkpoint.is_dir():
        raise SpecError(f"{checkpoint} is no folder: give a checkpoint on disk; nothing is fetched.")
    if missing := [module for module in NEEDED if importlib.util.find_spec(module) is None]:
        raise SpecError(
            f"`csum models prepare` needs {', '.join(missing)}, not installed here: run `pip install "
            "'./workload[reference]'` in a checkout of confidential-summarizer."
        )
    named = name or model_name(checkpoint.resolve().name)
    if not _NAME.fullmatch(named):
        raise SpecError(f"{named!r} is no name of a model: give --name, of lower-case letters, digits and hyphens.")
    model = out / named
    chosen = ["--quantization", quantization] if quantization is not None else ["--texts", str(texts)]
    command = [sys.executable, "-P", "-m", "summarizer.convert", str(checkpoint), str(model), *chosen]
    # A process of its own: what it says is for people, and torch's memory goes with it.
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise SpecError(f"{checkpoint} was not made into a model; the reason stands above.")
    emit({"model": model.name, "folder": str(model), "seal": f"csum seal {out}/"}, output)
    note(f"Name it in spec.summarizer.models, and pin the contentSHA256 that `csum seal {out}/` prints.")


def model_name(folder: str) -> str:
    """Return the name for a checkpoint's folder: `T5_Small` becomes `t5-small`."""
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:63].strip("-")
