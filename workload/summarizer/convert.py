"""Convert a model directory of `transformers` for CTranslate2; needs the `reference` extra.

`python -m summarizer.convert MODEL_DIR OUT_DIR [--quantization int8_float32|float16|float32]`; OUT_DIR is usually
MODEL_DIR/ctranslate2, where the default engine looks.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

QUANTIZATIONS: Final = ("int8_float32", "float16", "float32")
# Fields that CTranslate2's converter reads and transformers 5 no longer writes: BART normalizes after each block, and
# right after the embeddings. T5's part of the converter does not look at them.
_BART_DEFAULTS: Final = {"normalize_before": False, "normalize_embedding": True}


def convert(model: Path, out: Path, quantization: str = "int8_float32") -> None:
    """Write the weights of `model` to `out` in the format of CTranslate2.

    Args:
        model: A directory with `config.json`, `model.safetensors` and a tokenizer.
        out: Made new; one that exists is replaced.
        quantization: Precision of the stored weights.
    """
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        for path in model.iterdir():
            if path.is_file() and path.name != "config.json":
                (staged / path.name).symlink_to(path.resolve())
        config = _BART_DEFAULTS | json.loads((model / "config.json").read_text(encoding="utf-8"))
        (staged / "config.json").write_text(json.dumps(config), encoding="utf-8")
        TransformersConverter(str(staged), trust_remote_code=False).convert(
            str(out), quantization=quantization, force=True
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m summarizer.convert", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quantization", choices=QUANTIZATIONS, default="int8_float32")
    arguments = parser.parse_args()
    convert(arguments.model, arguments.out, arguments.quantization)


if __name__ == "__main__":
    main()
