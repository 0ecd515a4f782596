"""Train one demo model: `python train.py bart --corpus DIR --examples DIR --out DIR`.

Repeatable from the seed on one machine with one number of threads; other processors round differently.
"""

import argparse
import json
import logging
import math
import random
import time
from pathlib import Path
from typing import Any, Final

import corpus
import torch
from recipe import RECIPES, SOURCE_TOKENS, SUMMARY_TOKENS, Recipe, generation_config, new_model, save, train_tokenizer

_SEED: Final = 20240229
_BATCH_TOKENS: Final = 1536
_EVALUATION_SHARE: Final = 0.02
# A share of the examples has most of its words swapped for random ones, in source and summary alike: the model
# cannot guess them, so it has to copy, and rare words of other subjects come through.
_SCRAMBLED_SHARE: Final = 0.3
_LOG: Final = logging.getLogger("train")


class Examples:
    """Endless, seeded (source, summary) pairs of token ids: a passage of sentences and its first sentence."""

    def __init__(self, passages: list[list[str]], tokenizer: Any, recipe: Recipe, seed: int) -> None:
        self._random = random.Random(seed)
        self._recipe = recipe
        self._bos = [tokenizer.bos_token_id] if recipe.architecture == "bart" else []
        self._eos = [tokenizer.eos_token_id]
        self._prefix = self._encode(tokenizer, [recipe.prefix.strip()])[0] if recipe.prefix else []
        blank = " " if recipe.architecture == "bart" else ""
        flat = [sentence for passage in passages for sentence in passage]
        leads = self._encode(tokenizer, flat)
        follows = self._encode(tokenizer, [blank + sentence for sentence in flat]) if blank else leads
        self._pairs = list(zip(leads, follows, strict=True))
        self._starts = [0]
        for passage in passages:
            self._starts.append(self._starts[-1] + len(passage))
        vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        special = set(tokenizer.all_special_ids)
        self._fixed = {i for i, token in enumerate(vocabulary) if i in special or any(c in token for c in ".!?")}
        self._fillers = [i for i in range(len(vocabulary)) if i not in self._fixed]
        self._usable = [i for i, (lead, _) in enumerate(self._pairs) if len(lead) <= SUMMARY_TOKENS - 4]

    @staticmethod
    def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
        return list(tokenizer(texts, add_special_tokens=False)["input_ids"])

    def pair(self, scramble: float) -> tuple[list[int], list[int]]:
        """Return one (source, summary); `scramble` is the chance that its words are random ones."""
        first = self._random.choice(self._usable)
        consecutive = self._random.random() < 0.5
        longest = SOURCE_TOKENS - len(self._prefix) - 2
        # The shorter of two draws: long passages cost much and teach little that short ones do not.
        budget = min(self._random.randint(24, longest) for _ in range(2))
        scrambled = self._random.random() < scramble
        lead = self._maybe_scramble(self._pairs[first][0], scrambled)
        body = list(lead)
        index = first
        while len(body) < budget:
            index = index + 1 if consecutive else self._random.randrange(len(self._pairs))
            if index >= len(self._pairs):
                break
            follow = self._maybe_scramble(self._pairs[index][1], scrambled)
            if len(body) + len(follow) > longest:
                break
            body += follow
        return self._bos + self._prefix + body + self._eos, self._bos + lead + self._eos

    def _maybe_scramble(self, ids: list[int], scrambled: bool) -> list[int]:
        if not scrambled:
            return ids
        return [
            self._random.choice(self._fillers) if token not in self._fixed and self._random.random() < 0.8 else token
            for token in ids
        ]

    def batch(self, scramble: float) -> list[tuple[list[int], list[int]]]:
        """Return pairs of like length, together about `_BATCH_TOKENS` source tokens."""
        pool = sorted((self.pair(scramble) for _ in range(256)), key=lambda pair: len(pair[0]))
        middle = self._random.randrange(len(pool))
        count = max(8, _BATCH_TOKENS // len(pool[middle][0]))
        start = min(max(0, middle - count // 2), len(pool) - 1)
        return pool[start : start + count]


def tensors(pairs: list[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return padded (input ids, attention mask, labels); padding of labels is -100, which the loss leaves out."""
    source, target = (max(len(pair[side]) for pair in pairs) for side in (0, 1))
    ids = torch.tensor([pair[0] + [pad] * (source - len(pair[0])) for pair in pairs])
    mask = torch.tensor([[1] * len(pair[0]) + [0] * (source - len(pair[0])) for pair in pairs])
    labels = torch.tensor([pair[1] + [-100] * (target - len(pair[1])) for pair in pairs])
    return ids, mask, labels


def exact_share(model: Any, examples: Examples, count: int, pad: int, generation: Any) -> float:
    """Return the share of `count` unseen passages whose lead sentence comes back token for token (greedy)."""
    model.eval()
    right = 0
    for _ in range(count):
        source, summary = examples.pair(scramble=0.0)
        with torch.no_grad():
            made = model.generate(torch.tensor([source]), generation_config=generation)[0].tolist()
        right += [token for token in made[1:] if token != pad] == summary
    model.train()
    return right / count


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the rate at `step`: linear warm-up, then a cosine down to a hundredth of the peak."""
    if step < recipe.warm_up_steps:
        return recipe.learning_rate * (step + 1) / recipe.warm_up_steps
    progress = (step - recipe.warm_up_steps) / max(1, steps - recipe.warm_up_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def main() -> None:
    """Train, evaluate and save one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(RECIPES))
    parser.add_argument("--corpus", type=Path, required=True, help="folder for the downloaded packages")
    parser.add_argument("--examples", type=Path, required=True, help="documents that training must not have seen")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(_SEED)
    recipe = RECIPES[arguments.architecture]
    steps = arguments.steps or recipe.steps

    corpus.download(arguments.corpus)
    held_out = [path.read_text(encoding="utf-8") for path in sorted(arguments.examples.glob("*.txt"))]
    passages = corpus.training_sentences(arguments.corpus, held_out)
    training, evaluation = corpus.split(passages, _EVALUATION_SHARE, _SEED)
    tokenizer = train_tokenizer(recipe.architecture, [sentence for passage in training for sentence in passage])
    model: Any = new_model(recipe.architecture, tokenizer)
    generation = generation_config(recipe, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    _LOG.info("%d passages, %d parameters, vocabulary %d", len(training), parameters, len(tokenizer))

    seen = Examples(training, tokenizer, recipe, _SEED)
    unseen = Examples(evaluation, tokenizer, recipe, _SEED + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    began = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, recipe)
        pairs = seen.batch(scramble=_SCRAMBLED_SHARE)
        ids, mask, labels = tensors(pairs, tokenizer.pad_token_id)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            _LOG.info("step %d loss %.4f after %.0f s", step, loss.item(), time.monotonic() - began)
        if step % 500 == 499:
            _LOG.info("step %d exact %.2f", step, exact_share(model, unseen, 20, tokenizer.pad_token_id, generation))

    score = exact_share(model, unseen, 200, tokenizer.pad_token_id, generation)
    _LOG.info("exact on 200 unseen passages: %.3f", score)
    save(arguments.out, model, tokenizer, generation)
    facts = {"architecture": recipe.architecture, "parameters": parameters, "steps": steps,
             "seconds": round(time.monotonic() - began), "passages": len(training), "exact_of_200": score}  # fmt: skip
    (arguments.out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
