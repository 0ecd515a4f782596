"""Train one demo model in two rounds: `train.py bart --out FIRST`, then `train.py bart --start FIRST --out DIR`.

The second goes on with the weights of the first, on contracts in many more wordings and of all lengths.

Repeatable from the seed on one machine with one number of threads; other processors round differently.
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import torch
from contracts import FIELDS, Contract, Generator, fields
from recipe import RECIPES, Recipe, generation_config, load, new_model, save, train_tokenizer

_SEED: Final = 20261128
_BATCH: Final = 8
# Batches are cut from so many contracts sorted by length, which saves padding.
_POOL: Final = 16
_TOKENIZER_CONTRACTS: Final = 4000
# The first contracts have few clauses besides those that matter; the last have so many.
_CLAUSES: Final = (2, 18)
_GROWING_STEPS: Final = 800
_FALLING_SHARE: Final = 0.2
_EVALUATED: Final = 20
# Of the longest contracts of the second round one in hundreds has more tokens than a model reads.
_PADDED: Final[dict[str, Any]] = {"padding": True, "truncation": True, "return_tensors": "pt"}
_LOG: Final = logging.getLogger("train")


def tensors(contracts: list[Contract], tokenizer: Any, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Return padded input ids, attention mask and labels; padding of labels is -100, which the loss leaves out."""
    sources = tokenizer([recipe.prefix + contract.text for contract in contracts], **_PADDED)
    labels = tokenizer([contract.abstract for contract in contracts], **_PADDED)
    ids, mask = sources["input_ids"], sources["attention_mask"]
    targets = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": targets}


def summarize(model: Any, contracts: list[Contract], tokenizer: Any, recipe: Recipe, generation: Any) -> list[str]:
    """Return the model's abstracts (greedy)."""
    made: list[str] = []
    model.eval()
    for start in range(0, len(contracts), 20):
        batch = tensors(contracts[start : start + 20], tokenizer, recipe)
        batch.pop("labels")
        with torch.no_grad():
            ids = model.generate(**batch, generation_config=generation)
        made += [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    model.train()
    return made


def right_fields(contracts: list[Contract], made: list[str]) -> dict[str, float]:
    """Return the share of abstracts in which each field is right, and in which all are."""
    expected = [fields(contract.abstract) for contract in contracts]
    found = [fields(abstract) for abstract in made]
    pairs = list(zip(expected, found, strict=True))
    shares = {name: sum(a[name] == b.get(name) for a, b in pairs) / len(pairs) for name in FIELDS}
    return shares | {"all": sum(a == b for a, b in pairs) / len(pairs)}


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the rate at `step`: linear warm-up, level, and a straight fall to a hundredth of the peak at the end."""
    rising = (step + 1) / recipe.warm_up_steps
    falling = (steps - step) / (_FALLING_SHARE * steps)
    return recipe.learning_rate * max(0.01, min(1.0, rising, falling))


def others(step: int, *, second: bool) -> int:
    """Return how many clauses a contract has besides those that matter: more and more, and any number at last."""
    if second:
        return int(torch.randint(_CLAUSES[0], _CLAUSES[1] + 1, ()))
    return round(_CLAUSES[0] + (_CLAUSES[1] - _CLAUSES[0]) * min(1.0, step / _GROWING_STEPS))


def main() -> None:
    """Train, evaluate and save one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="checkpoint of the first round")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(_SEED)
    recipe = RECIPES[arguments.architecture]
    start: Path | None = arguments.start
    steps = arguments.steps or (recipe.more_steps if start else recipe.steps)

    generator = Generator(_SEED + 2, varied=True) if start else Generator(_SEED, disturbed=True)
    sample = [generator.contract(_CLAUSES[1]) for _ in range(_TOKENIZER_CONTRACTS)]
    model: Any
    if start:
        model, tokenizer = load(start)
    else:
        texts = [text for each in sample for text in (each.text, each.abstract)]
        tokenizer = train_tokenizer(recipe.architecture, texts)
        model = new_model(recipe.architecture, tokenizer)
    generation = generation_config(recipe, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    longest = max(map(len, tokenizer([contract.text for contract in sample])["input_ids"]))
    _LOG.info("%d parameters, vocabulary %d, longest source %d", parameters, len(tokenizer), longest)
    unseen = [Generator(_SEED + 1, held_out=held_out) for held_out in (False, True)]
    evaluated = [[other.contract(_CLAUSES[1]) for _ in range(_EVALUATED)] for other in unseen]

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    began = time.monotonic()
    pool: list[list[Contract]] = []
    for step in range(steps):
        if not pool:
            drawn = sorted((generator.contract(others(step, second=bool(start))) for _ in range(_BATCH * _POOL)),
                           key=lambda c: len(c.text))  # fmt: skip
            pool = [drawn[first : first + _BATCH] for first in range(0, len(drawn), _BATCH)]
            pool = [pool[i] for i in torch.randperm(len(pool)).tolist()]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, recipe)
        loss = model(**tensors(pool.pop(), tokenizer, recipe)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0:
            _LOG.info("step %d loss %.4f after %.0f s", step, loss.item(), time.monotonic() - began)
        if step % 250 == 249:
            for contracts in evaluated:
                made = summarize(model, contracts, tokenizer, recipe, generation)
                _LOG.info("step %d, right: %s", step, right_fields(contracts, made))

    save(arguments.out, model, tokenizer, generation)
    facts = {"parameters": parameters, "steps": steps, "seconds": round(time.monotonic() - began),
             "contracts": steps * _BATCH}  # fmt: skip
    if start:
        before = json.loads((start / "training.json").read_text(encoding="utf-8"))
        facts |= {name: facts[name] + before[name] for name in ("steps", "seconds", "contracts")}
    (arguments.out / "training.json").write_text(
        json.dumps({"architecture": recipe.architecture} | facts, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
