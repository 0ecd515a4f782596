"""Make a model directory for the summarizer from a checkpoint of `transformers` on disk; needs the `reference` extra.

`python -m summarizer.convert CHECKPOINT OUT --texts DIR`: converts the weights for the default engine, in the smallest
precision that gives the same summaries of the texts, and writes the tokenizer, a card and the SHA-256 manifest. Nothing
is fetched, and no code of the checkpoint is run. `--quantization` takes a precision without measuring.
"""

import argparse
import difflib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from summarizer.card import CARD_NAME
from summarizer.content import read_model
from summarizer.engine.base import read_family
from summarizer.engine.ctranslate2_engine import CONVERTED, CTranslate2Engine
from summarizer.engine.families import Family
from summarizer.errors import ModelError
from summarizer.long_text import summarize_documents
from summarizer.manifest import write_manifest
from summarizer.text import words

# The smallest and fastest first; the last is what the others are compared with.
QUANTIZATIONS: Final = ("int8_float32", "float16", "float32")
# Measured against float32: with fewer words alike, other facts begin to stand in summaries.
_ALIKE: Final = 0.95
# Words of the summaries that are compared: the default of the resource.
_WORDS: Final = 120
_COPIED: Final = ("config.json", "generation_config.json")
_WEIGHTS: Final = "model.safetensors"
# What transformers reads of a checkpoint without running code: configuration, weights, vocabularies.
_INERT: Final = (".json", ".model", ".safetensors", ".spm", ".txt")


@dataclass(frozen=True)
class Loss:
    """What a precision costs.

    Attributes:
        quantization: The precision.
        alike: Share of words that its summaries have in common, in order, with those of float32; 1 is all.
        same: How many summaries are the same, word for word.
        texts: How many were made.
    """

    quantization: str
    alike: float
    same: int
    texts: int


def convert(model: Path, out: Path, quantization: str = "int8_float32") -> None:
    """Write the weights of `model` to `out` in the format of CTranslate2.

    Args:
        model: A directory with `config.json`, `model.safetensors` and a tokenizer.
        out: Made new; one that exists is replaced.
        quantization: Precision of the stored weights.

    Raises:
        ModelError: The family is not known, or CTranslate2 does not run it, or the weights cannot be read.
    """
    from ctranslate2.converters import TransformersConverter

    config = (model / "config.json").read_bytes()
    family = read_family({"config.json": config})
    if not family.converted:
        raise ModelError(f"CTranslate2 does not run {family.title}: use it with the reference engine")
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        for path in model.iterdir():
            if path.suffix in _INERT and path.name != "config.json":
                (staged / path.name).symlink_to(path.resolve())
        (staged / "config.json").write_text(json.dumps({**family.config, **json.loads(config)}), encoding="utf-8")
        try:
            TransformersConverter(str(staged), trust_remote_code=False).convert(
                str(out), quantization=quantization, force=True
            )
        except Exception as error:  # noqa: BLE001  of transformers, safetensors or CTranslate2
            raise ModelError(f"{model} cannot be converted, is it whole? {_said(error)}") from None


def prepare(checkpoint: Path, out: Path, texts: Sequence[str], quantization: str | None = None) -> list[Loss]:
    """Make a model directory of a checkpoint.

    Args:
        checkpoint: As it comes from a hub.
        out: The new directory; its name is what readers ask for.
        texts: What the precisions are compared on.
        quantization: Take this one, without comparing.

    Returns:
        What was measured; the last one was chosen.

    Raises:
        ModelError: The checkpoint is incomplete or of no known family, leads elsewhere, or `out` is there.
    """
    if out.exists():
        raise ModelError(f"{out} is there already: name a new directory, or remove it")
    if not (checkpoint / "config.json").is_file():
        raise ModelError(f"{checkpoint} has no config.json: name the folder of a checkpoint of transformers")
    if not any(checkpoint.glob("*.safetensors")):
        raise ModelError(
            f"{checkpoint} has no safetensors: other weights can run code when they are read. Load it with "
            "transformers where that does no harm, save it with `save_pretrained`, and name that folder"
        )
    _refuse_links_out(checkpoint)
    family = read_family({"config.json": (checkpoint / "config.json").read_bytes()})
    out.mkdir(parents=True)
    try:
        return _fill(checkpoint, out, family, texts, quantization)
    except BaseException:
        # Half a model would be in the way of the next try, and be sealed with the others.
        shutil.rmtree(out)
        raise


def _refuse_links_out(checkpoint: Path) -> None:
    """Let nothing in that the checkpoint only points at; the cache of a hub keeps its files beside the checkpoint."""
    whole = checkpoint.resolve()
    places = [whole, *([whole.parents[1] / "blobs"] if whole.parent.name == "snapshots" else [])]
    for path in whole.rglob("*"):
        if path.is_symlink() and not any(path.resolve().is_relative_to(place) for place in places):
            raise ModelError(f"{path} is a link that leads out of the checkpoint: put the file in its place")


def _fill(checkpoint: Path, out: Path, family: Family, texts: Sequence[str], quantization: str | None) -> list[Loss]:
    for name in _COPIED:
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, out / name)
    _tokenizer(checkpoint, out)
    losses: list[Loss] = []
    if not family.converted:
        for weights in checkpoint.glob("model*.safetensors*"):
            shutil.copyfile(weights, out / weights.name)
    elif quantization is not None:
        convert(checkpoint, out / CONVERTED, quantization)
        # Here rather than in the group: whether it can be loaded.
        CTranslate2Engine(read_model(out))
    else:
        losses = _smallest(checkpoint, out, texts)
    chosen = losses[-1].quantization if losses else quantization
    (out / CARD_NAME).write_text(_card(out.name, checkpoint.name, family, chosen, losses), encoding="utf-8")
    write_manifest(out)
    return losses


def _tokenizer(checkpoint: Path, out: Path) -> None:
    """Write `tokenizer.json`, also for checkpoints that hold an older form of it."""
    if (checkpoint / "tokenizer.json").is_file():
        shutil.copyfile(checkpoint / "tokenizer.json", out / "tokenizer.json")
        return
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
        tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001  as above
        raise ModelError(
            f"{checkpoint} has no tokenizer.json, and what it has cannot be made into one: {_said(error)}"
        ) from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _smallest(checkpoint: Path, out: Path, texts: Sequence[str]) -> list[Loss]:
    """Convert to the smallest precision whose summaries are alike enough to those of float32."""
    if not texts:
        raise ModelError("there are no texts to compare the precisions on: give --texts, or --quantization")
    convert(checkpoint, out / CONVERTED, QUANTIZATIONS[-1])
    exact = _summaries(out, texts)
    losses: list[Loss] = []
    for quantization in QUANTIZATIONS:
        convert(checkpoint, out / CONVERTED, quantization)
        made = _summaries(out, texts)
        alike = [_alike(one, other) for one, other in zip(exact, made, strict=True)]
        same = sum(one == other for one, other in zip(exact, made, strict=True))
        losses.append(Loss(quantization, sum(alike) / len(alike), same, len(texts)))
        if losses[-1].alike >= _ALIKE:
            break
    return losses


def _summaries(model: Path, texts: Sequence[str]) -> list[str]:
    return summarize_documents(CTranslate2Engine(read_model(model)), texts, _WORDS)


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def _card(name: str, checkpoint: str, family: Family, quantization: str | None, losses: Sequence[Loss]) -> str:
    facts = {"Architecture": family.title, "Converted from": checkpoint}
    if quantization is not None:
        facts["Precision of the weights"] = quantization
    for loss in losses:
        facts[f"{loss.quantization} against float32"] = (
            f"{loss.alike:.1%} of the words alike, {loss.same} of {loss.texts} summaries the same"
        )
    if not losses and quantization not in (None, "float32"):
        facts["Loss by the precision"] = "not measured"
    lines = [f"  {json.dumps(label)}: {json.dumps(value)}" for label, value in facts.items()]
    return "\n".join(["---", f"name: {json.dumps(name)}", "facts:", *lines, "---", f"# {name}", ""])


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m summarizer.convert", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, help="folder of .txt files to compare the precisions on")
    parser.add_argument("--quantization", choices=QUANTIZATIONS, help="take this precision without comparing")
    arguments = parser.parse_args()
    files = sorted(arguments.texts.glob("*.txt")) if arguments.texts else []
    try:
        losses = prepare(
            arguments.checkpoint,
            arguments.out,
            [file.read_text(encoding="utf-8") for file in files],
            arguments.quantization,
        )
    except ModelError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line
        return 1
    for loss in losses:
        print(f"{loss.quantization}: {loss.alike:.1%} of the words as float32, {loss.same} of {loss.texts} the same")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
