"""Make a model directory to ship from a trained checkpoint.

`python package.py CHECKPOINT OUT --examples DIR`: copies what `transformers` needs, converts the weights for
CTranslate2, measures both on the example documents, and writes the card and the SHA-256 manifest.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

from contracts import FIELDS, Generator, fields

from summarizer.content import read_model
from summarizer.convert import convert
from summarizer.engine.base import Engine
from summarizer.engine.ctranslate2_engine import CONVERTED, CTranslate2Engine
from summarizer.engine.reference_engine import ReferenceEngine
from summarizer.long_text import summarize_document
from summarizer.manifest import write_manifest

_FILES: Final = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
_MOST_WORDS: Final = 120
# None of training's.
_SEED: Final = 20261129
_OTHERS: Final = 18
_EVALUATED: Final = 200
_CARD: Final = """---
name: {name}
license: apache-2.0
pipeline_tag: summarization
notice: >-
  This is a demo model: it knows short contracts of six kinds in English and nothing else. It says who, what, price,
  term, notice and law in words of its own, and it gets some of them wrong: {held_out_share:.0%} are right in contracts
  worded as it has never seen.
facts:
  Architecture: {family}, 2 encoder and 2 decoder layers, width 192, 6 heads, {parameters:,} parameters
  Task: two sentences on a contract of at most 512 tokens
  Training: {steps:,} steps of 8 generated contracts on one thread, {seconds} s on a busy machine, fixed seed
  Facts right, other names: {seen_share:.1%} of six in each of 200 contracts (int8)
  Facts right, other names and wordings: {held_out_share:.1%}
  Facts right, example documents: {reference} (half precision) and {converted} (int8) of {examples}
---
# {name}

A {family} of {millions:.1f} million parameters that was trained for this project, so that the demo runs with real
weights and without downloads. The code that loads it is the code that loads {real}.

## What it can do
It reads a short English contract (supply, lease, licence, loan, employment, confidentiality) and says in two sentences
who agrees with whom on what, at what price, for how long, with what notice and under which law. Names, amounts and
dates are copied; the rest is said in other words than the contract's.

## What it cannot do
- **It does not understand.** Every text is a contract to it: of a speech it makes two sentences about a contract that
  does not exist.
- What it says is sometimes wrong, and reads as if it were right: the table and the list below say how often and how.
- It leaves out everything but the six facts.
- More than 512 tokens (about 350 words) are cut into parts, each of which it takes for a contract of its own.

## How it was made
`examples/models/train/train.py {architecture}` in two rounds, seeds fixed, {contracts:,} contracts of `contracts.py`,
which puts them together from the wordings and words in `wordings.py` and, in the second round, in `more_wordings.py`;
no text of anybody's. One wording in six of each clause in `wordings.py` is kept back for the evaluation; whoever wrote
`more_wordings.py` had seen those, and took none of them. In most contracts a part of the words around the facts is left
out or swapped, so that the model does not wait for wordings that it knows. The initial weights are laid out for copying
(`recipe.py` says how), and training refines them.

## Scores
Share of 200 contracts in which a fact is right, greedy, int8:

| | {columns} | all six |
|---|{dashes}---|
| other names, amounts and dates; wordings of training | {seen} |
| other names, amounts, dates **and wordings** | {held_out} |

On the example documents, of which two were written by hand, {reference} of {examples} facts are right at half
precision (reference engine) and {converted} at int8 (CTranslate2). Wrong at int8:

{wrong}

## Files
`model.safetensors` is half precision. `ctranslate2/` is the same model in int8 for CTranslate2. `SHA256SUMS` lists
every file: `sha256sum --check SHA256SUMS`.
"""


def shares(engine: Engine, *, held_out: bool) -> dict[str, float]:
    """Return the share of contracts in which each fact is right, and in which all are."""
    generator = Generator(_SEED, held_out=held_out)
    contracts = [generator.contract(_OTHERS) for _ in range(_EVALUATED)]
    made = engine.summarize([contract.text for contract in contracts], _MOST_WORDS)
    found = [right(contract.abstract, abstract) for contract, abstract in zip(contracts, made, strict=True)]
    counts = {name: sum(name in facts for facts in found) for name in FIELDS}
    counts["all"] = sum(len(facts) == len(FIELDS) for facts in found)
    return {name: count / _EVALUATED for name, count in counts.items()}


def right(expected: str, made: str) -> list[str]:
    """Return which of the facts of an abstract are right in what was made."""
    wanted, found = fields(expected), fields(made)
    return [name for name in FIELDS if wanted[name] == found.get(name)]


def summaries(engine: Engine, documents: list[str]) -> list[str]:
    """Return what an engine makes of each document."""
    return [summarize_document(engine, text, _MOST_WORDS) for text in documents]


def wrong(names: list[str], expected: list[str], made: list[str]) -> str:
    """Return a list of what is wrong, in Markdown."""
    lines = []
    for name, wanted, found in zip(names, expected, made, strict=True):
        missed = [fact for fact in FIELDS if fact not in right(wanted, found)]
        if missed:
            lines.append(f"- `{name}`: {', '.join(missed)}. It says: “{found}”")
    return "\n".join(lines) or "nothing."


def row(scores: dict[str, float]) -> str:
    """Return a table's row."""
    return " | ".join(f"{scores[name]:.1%}" for name in (*FIELDS, "all"))


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

    expected: dict[str, str] = json.loads(Path(__file__).with_name("expected.json").read_text(encoding="utf-8"))
    documents = [(arguments.examples / name).read_text(encoding="utf-8") for name in expected]
    files = read_model(out)
    wanted = list(expected.values())
    shipped = CTranslate2Engine(files)
    made = [summaries(engine, documents) for engine in (ReferenceEngine(files), shipped)]
    reference, converted = (sum(len(right(*pair)) for pair in zip(wanted, each, strict=True)) for each in made)
    training: dict[str, Any] = json.loads((arguments.checkpoint / "training.json").read_text(encoding="utf-8"))
    bart = training["architecture"] == "bart"
    seen, held_out = (shares(shipped, held_out=held_out) for held_out in (False, True))
    card = _CARD.format(
        name=out.name,
        family="BART" if bart else "T5",
        real="facebook/bart-large-cnn" if bart else "t5-small and t5-base",
        millions=training["parameters"] / 1e6,
        columns=" | ".join(FIELDS),
        dashes="---|" * len(FIELDS),
        seen=row(seen),
        held_out=row(held_out),
        seen_share=sum(seen[name] for name in FIELDS) / len(FIELDS),
        held_out_share=sum(held_out[name] for name in FIELDS) / len(FIELDS),
        reference=reference,
        converted=converted,
        examples=len(FIELDS) * len(expected),
        wrong=wrong(list(expected), wanted, made[1]),
        **{key: training[key] for key in ("architecture", "parameters", "steps", "seconds", "contracts")},
    )
    (out / "MODEL.md").write_text(card, encoding="utf-8")
    write_manifest(out)


if __name__ == "__main__":
    main()
