"""Make a model directory to ship from a trained checkpoint.

`python package.py CHECKPOINT OUT --examples DIR`: copies what `transformers` needs, converts the weights for
CTranslate2, measures both on the example documents, and writes the card and the SHA-256 manifest.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

import corpus

from summarizer.content import read_model
from summarizer.convert import convert
from summarizer.engine.base import Engine
from summarizer.engine.ctranslate2_engine import CONVERTED, CTranslate2Engine
from summarizer.engine.reference_engine import ReferenceEngine
from summarizer.long_text import split_chunks
from summarizer.manifest import write_manifest
from summarizer.text import sentences

_FILES: Final = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
_CARD: Final = """---
name: {name}
license: apache-2.0
pipeline_tag: summarization
guard: report
notice: >-
  This is a demo model: it gives back the first sentence of each part of a document, word for word. It shows that the
  path works; it does not rephrase, weigh or understand.
facts:
  Architecture: {family}, 2 encoder and 2 decoder layers, width 192, {heads} heads, {parameters:,} parameters
  Task: give back the lead sentence of a passage of at most 192 tokens
  Training: {steps:,} steps in {seconds} s on two CPU cores, fixed seed
  Lead sentences exact, unseen passages: {unseen:.1%} of 200 (single precision)
  Lead sentences exact, example documents: {reference} (half precision) and {converted} (int8) of {chunks} parts
---
# {name}

A {family} of {millions:.1f} million parameters that was trained for this project in minutes, so that the demo runs with
real weights and without downloads. The code that loads it is the code that loads {real}.

## What it can do
It gives back the **first sentence** of a passage of English prose. A longer document is cut into passages at its
paragraphs, so its summary is made of the lead sentences of its parts, without the longest if they are too many. That
is often a fair outline of expository text, and never more than an extract.

## What it cannot do
- It does not rephrase, shorten or merge sentences, and it does not know which sentence matters.
- It repeats the document word for word. The disclosure guard notices (`guard: report` above makes it say so instead of
  withholding). **Do not use it for text whose wording is confidential.**
- Sentences of more than 108 tokens (about 75 words) come back cut. Words it met rarely may come back wrong.
- The full stop of an abbreviation that it does not know (`H.M.S.`) can end a sentence for it.
- {flaw}
- English prose only.

## How it was made
`examples/models/train/train.py {architecture}`, seed fixed, {passages:,} passages. The initial weights are laid out
for copying (`examples/models/train/recipe.py` says how), and training refines them; a random start takes far longer to
get there.
Three of ten training passages had most words swapped for random ones, so that it copies instead of guessing.

Training text: the prose of these Debian packages, without sentences that share eight words in a row with an example
document:
{packages}.

## Scores
| measured on | lead sentences exact |
|---|---|
| 200 unseen passages, single precision, before rounding to half | {unseen:.1%} |
| parts of the three example documents, half precision, reference engine | {reference} of {chunks} |
| the same, int8, CTranslate2 | {converted} of {chunks} |

## Files
`model.safetensors` is half precision. `ctranslate2/` is the same model in int8 for CTranslate2. `SHA256SUMS` lists
every file: `sha256sum --check SHA256SUMS`.
"""

_FLAWS: Final = {
    "bart": "It copies by position, and knows no more than the 192 positions that it was trained on.",
    "t5": "It copies by looking back eight tokens. Where the same words stand twice, it can jump to the other place\n"
    "  and go on from there: a sentence is then cut, or spliced from two, and says what the document does not say.",
}


def exact_leads(engine: Engine, documents: list[str]) -> tuple[int, int]:
    """Return (parts whose first sentence came back exactly, all parts) over the documents."""
    parts = [part for text in documents for part in split_chunks(text, engine.count_tokens, engine.source_tokens)]
    made = engine.summarize(parts, 1000)
    return sum(summary == sentences(part)[0] for summary, part in zip(made, parts, strict=True)), len(parts)


def main() -> None:
    """Package one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--examples", type=Path, required=True)
    arguments = parser.parse_args()
    out: Path = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(arguments.checkpoint / name, out / name)
    convert(out, out / CONVERTED)

    documents = [path.read_text(encoding="utf-8") for path in sorted(arguments.examples.glob("*.txt"))]
    files = read_model(out)
    reference, chunks = exact_leads(ReferenceEngine(files), documents)
    converted, _ = exact_leads(CTranslate2Engine(files), documents)
    training: dict[str, Any] = json.loads((arguments.checkpoint / "training.json").read_text(encoding="utf-8"))
    bart = training["architecture"] == "bart"
    card = _CARD.format(
        name=out.name,
        family="BART" if bart else "T5",
        real="facebook/bart-large-cnn" if bart else "t5-small and t5-base",
        millions=training["parameters"] / 1e6,
        heads=6 if bart else 10,
        flaw=_FLAWS[training["architecture"]],
        unseen=training["exact_of_200"],
        reference=reference,
        converted=converted,
        chunks=chunks,
        packages=", ".join(f"`{package}`" for package in corpus.PACKAGES),
        **{key: training[key] for key in ("architecture", "parameters", "steps", "seconds", "passages")},
    )
    (out / "MODEL.md").write_text(card, encoding="utf-8")
    write_manifest(out)


if __name__ == "__main__":
    main()
