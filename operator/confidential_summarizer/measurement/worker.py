"""A process that measures one layer: the layer as stored on standard input, the answer as JSON on standard output.

Run as `python -m confidential_summarizer.measurement.worker`. A process of its own has its own interpreter lock, so
layers are measured on as many cores as there are, and its memory goes back to the system with it.
"""

import gc
import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from confidential_summarizer.errors import ImageError, UnhashableLayer
from confidential_summarizer.measurement.layer import measure_layer
from confidential_summarizer.measurement.limits import MEMORY, MIB, allow_last_words, bound_this_process

_CHUNK = 1 << 20


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, in chunks."""
    while chunk := file.read(_CHUNK):
        yield chunk


def main() -> None:
    """Measure standard input, within bounds of memory and time."""
    bound_this_process()
    gc.disable()  # what a layer leaves behind are no cycles, and looking for them takes a twentieth of the time
    try:
        answer: dict[str, object] = {"layer": measure_layer(chunks(sys.stdin.buffer)).to_json()}
    except UnhashableLayer as error:
        answer = {"unhashable": str(error)}
    except ImageError as error:
        answer = {"unusable": str(error)}
    except MemoryError:
        allow_last_words()
        answer = {
            "unusable": f"measuring it takes more than {MEMORY // MIB} MiB of memory: put fewer files into one layer"
        }
    # Whoever feeds this process must be able to write to the end, whatever was found before it.
    for _ in chunks(sys.stdin.buffer):
        pass
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
