"""Which engine a model directory gets."""

import importlib.util
from typing import Literal

from summarizer.content import ModelFiles
from summarizer.engine.base import Engine
from summarizer.errors import ModelError

EngineChoice = Literal["auto", "ctranslate2", "reference"]


def load_engine(choice: EngineChoice, model: ModelFiles) -> Engine:
    """Return the engine for the files of a model, loaded.

    `auto` takes CTranslate2 where there are converted weights, and the reference engine otherwise.

    Raises:
        ModelError: The model cannot be loaded by this engine, or the engine is not installed.
    """
    from summarizer.engine.ctranslate2_engine import CONVERTED, CTranslate2Engine

    converted = f"{CONVERTED}/model.bin" in model
    if choice == "ctranslate2" and not converted:
        raise ModelError(f"the model has no {CONVERTED}/model.bin: convert it with `python -m summarizer.convert`")
    if choice != "reference" and converted:
        return CTranslate2Engine(model)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise ModelError(
            "the model needs the reference engine, and torch or transformers is not installed: "
            "convert the model with `python -m summarizer.convert`, or use an image with the `reference` extra"
        )
    from summarizer.engine.reference_engine import ReferenceEngine

    return ReferenceEngine(model)
