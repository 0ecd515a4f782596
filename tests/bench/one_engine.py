"""One engine in a process of its own, so that its time and memory are nobody else's.

`python -m tests.bench.one_engine stock|ours CHECKPOINT TEXTS` prints a JSON object. `stock` is what most people do:
transformers, one text after the other. TEXTS is a JSON list.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ENOUGH_WORDS = 1000
"""The model's own limit on tokens ends a summary before."""


def ours(model: Path) -> Callable[[Sequence[str]], list[str]]:
    from summarizer.content import read_model
    from summarizer.engine.choice import load_engine

    engine = load_engine("ctranslate2", read_model(model))
    return lambda texts: engine.summarize(texts, ENOUGH_WORDS)


def stock(model: Path) -> Callable[[Sequence[str]], list[str]]:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSeq2SeqLM.from_pretrained(model, dtype=torch.float32).eval()
    settings = network.config.task_specific_params["summarization"]

    def one(text: str) -> str:
        with torch.inference_mode():
            made = network.generate(**tokenizer(settings["prefix"] + text, return_tensors="pt"), **options)
        return str(tokenizer.decode(made[0], skip_special_tokens=True)).strip()

    options = {name: value for name, value in settings.items() if name != "prefix"}
    return lambda texts: [one(text) for text in texts]


def main() -> None:
    summarize = {"ours": ours, "stock": stock}[sys.argv[1]](Path(sys.argv[2]))
    texts = json.loads(Path(sys.argv[3]).read_text())
    summarize(texts[:1])
    began, used = time.perf_counter(), time.process_time()
    made = summarize(texts)
    cost = {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
    # Not what getrusage says: that begins with what the parent used.
    resident = next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    )
    print(json.dumps({**cost, "texts": len(texts), "mebibytes": resident // 1024, "made": made}))  # noqa: T201


if __name__ == "__main__":
    main()
