"""Layers whose hashes and file systems the reference converter has told."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from confidential_summarizer.errors import UnhashableLayer
from tests.support.images import BLOCK, file_system, root_hash

VECTORS = Path(__file__).parents[2] / "data" / "layers"
EXPECTED: dict[str, dict[str, Any]] = json.loads((VECTORS / "expected.json").read_text())
HASHED = sorted(name for name, expected in EXPECTED.items() if "roothash" in expected)
REFUSED = sorted(name for name, expected in EXPECTED.items() if "error" in expected)


@pytest.mark.parametrize("name", HASHED)
def test_a_layer_becomes_the_reference_file_system_to_the_byte(name: str) -> None:
    image, root = file_system((VECTORS / name).read_bytes())
    expected = EXPECTED[name]
    assert len(image) == expected["ext4_blocks"] * BLOCK
    assert hashlib.sha256(image).hexdigest() == expected["ext4_sha256"]
    assert root == expected["roothash"]


@pytest.mark.parametrize("name", HASHED)
@pytest.mark.parametrize("chunk", [1, 511, 4096, 65537])
def test_the_hash_does_not_depend_on_how_the_bytes_arrive(name: str, chunk: int) -> None:
    tar = (VECTORS / name).read_bytes()
    if chunk == 1 and len(tar) > 100_000:
        pytest.skip("a byte at a time takes too long for a large tar")
    assert root_hash(tar, chunk) == EXPECTED[name]["roothash"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_the_reference_refuses_is_refused_for_the_same_reason(name: str) -> None:
    cause = EXPECTED[name]["error"].rpartition(": ")[2]
    with pytest.raises(UnhashableLayer, match=cause):
        root_hash((VECTORS / name).read_bytes())
