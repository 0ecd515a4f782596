"""The models that readers may choose from: described at once, loaded when somebody asks, bounded in memory."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from summarizer.card import CARD_NAME, ModelCard, read_card
from summarizer.content import ModelFiles, read_content
from summarizer.cores import available_memory
from summarizer.engine.base import Engine
from summarizer.engine.choice import EngineChoice, load_engine
from summarizer.errors import ModelError
from summarizer.manifest import MANIFEST_NAME, manifest_digest, verify_manifest
from summarizer.pins import DigestPin, Pin

# The other half is for documents, batches and the page.
_SHARE_OF_MEMORY: Final = 2
# CTranslate2 keeps the bytes that it is given beside the weights that it makes of them, for as long as the engine is
# there (python/cpp/replica_pool.h: the loader owns the reader); torch makes single precision of half.
_COPIES: Final = 2
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfferedModel:
    """What readers are told of a model.

    Attributes:
        name: What they ask for: the model's folder.
        card: What it says about itself.
        sha256: SHA-256 of its manifest; compared with its files whenever it is loaded.
        engine: Name of the engine while it is in memory; empty otherwise.
    """

    name: str
    card: ModelCard
    sha256: str
    engine: str = ""


@dataclass(frozen=True)
class _Loaded:
    engine: Engine
    size: int  # bytes that it keeps in memory


class Models:
    """Loads the offered models from a folder of models; for one thread."""

    def __init__(
        self,
        directory: Path,
        names: tuple[str, ...],
        pin: str | None,
        choice: EngineChoice,
        *,
        memory: int | None = None,
        report: Callable[[tuple[OfferedModel, ...]], None] = lambda _offered: None,
    ) -> None:
        """Offer models.

        Args:
            directory: Holds a folder for each.
            names: The folders; the first is the default.
            pin: SHA-256 of the content manifest of `directory`; None where the measured image holds it.
            choice: Which engine.
            memory: Most bytes of models to keep loaded, beside the one in use; half of the container's if None.
            report: Told what is offered, whenever that changes.
        """
        self._directory = directory
        self._names = names
        self._pin: Pin | None = None if pin is None else DigestPin(pin)
        self._choice = choice
        self._memory = available_memory() // _SHARE_OF_MEMORY if memory is None else memory
        self._report = report
        self._offered: dict[str, OfferedModel] = {}
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    def start(self) -> None:
        """Read what every model says of itself, and load the default one.

        Raises:
            ContentError: The files are not those of the pin.
            ModelError: A model is missing or cannot be used.
        """
        first = self._names[0]
        described = {f"{name}/{file}" for name in self._names for file in (CARD_NAME, MANIFEST_NAME)}
        kept = self._read(lambda path: path in described or path.startswith(f"{first}/"))
        for name in self._names:
            files = _below(name, kept)
            if not files:
                raise ModelError(f"the models have no folder {name}: name another model, or seal this one too")
            self._offered[name] = OfferedModel(name, read_card(name, files), manifest_digest(name, files))
        self._load(first, _below(first, kept))

    def engine(self, name: str) -> Engine:
        """Return the engine of an offered model, loaded.

        Raises:
            ContentError: The files are not those of the pin any more.
            ModelError: The model cannot be used.
        """
        if name not in self._loaded:
            self._load(name, _below(name, self._read(lambda path: path.startswith(f"{name}/"))))
        self._loaded.move_to_end(name)
        return self._loaded[name].engine

    def _read(self, keep: Callable[[str], bool]) -> ModelFiles:
        # Whole and against the pin each time: storage may answer differently, and memory does not hold all of it.
        return read_content(self._directory, "the models", keep=keep, pin=self._pin).kept

    def _load(self, name: str, files: ModelFiles) -> None:
        size = _COPIES * sum(len(data) for data in files.values())
        if verify_manifest(name, files) != self._offered[name].sha256:
            raise ModelError(f"{name} is not the model that it was at the start: restart the group")
        while self._loaded and size + sum(loaded.size for loaded in self._loaded.values()) > self._memory:
            self._note(self._loaded.popitem(last=False)[0], "")
        engine = load_engine(self._choice, files)
        self._loaded[name] = _Loaded(engine, size)
        self._note(name, engine.name)
        _LOG.info("model loaded", extra={"engine": engine.name, "model": name, "manifest": self._offered[name].sha256})

    def _note(self, name: str, engine: str) -> None:
        self._offered[name] = replace(self._offered[name], engine=engine)
        self._report(tuple(self._offered.values()))


def _below(name: str, files: ModelFiles) -> ModelFiles:
    prefix = f"{name}/"
    return {path.removeprefix(prefix): data for path, data in files.items() if path.startswith(prefix)}
