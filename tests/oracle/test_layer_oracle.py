"""Ours against the real converter, tar by tar: root hash, digest of the tar, and whether it is refused."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement.convert import convert
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.verity import VerityTree
from tests.support.tars import RandomTar

pytestmark = pytest.mark.oracle

SEEDS = int(os.environ.get("CSUM_ORACLE_TARS", "300"))
"""How many random tars are compared; 5000 for a release."""
BATCH = 100
CHUNK = 1000

MEANINGS = {
    "cannot overwrite file with non-inline data": "cannot overwrite file with non-inline data",
    "cannot orphan existing file or directory": "cannot orphan existing file or directory",
    "cannot replace a directory with a file": "cannot replace a directory with a file",
    "cannot replace a file with a directory": "cannot replace a file with a directory",
    "file not found": "file not found",
    "path not found": "path not found",
    "invalid tar header": "invalid tar header",
    "unexpected EOF": "unexpected EOF",
    "could not fit xattr": "could not fit xattr",
}
"""What both say of the same cause."""


def reference(binary: Path, data: bytes, scratch: Path) -> dict[str, str]:
    """What the real converter says of a tar."""
    done = subprocess.run([binary, scratch], input=data, capture_output=True, check=True)
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def ours(data: bytes) -> dict[str, str]:
    """What we say of a tar that arrives in small chunks."""
    tree = VerityTree()
    try:
        convert(ByteStream(data[start : start + CHUNK] for start in range(0, len(data), CHUNK)), tree)
    except UnhashableLayer as error:
        return {"error": str(error)}
    return {"root_hash": tree.root().hex(), "diff_id": f"sha256:{hashlib.sha256(data).hexdigest()}"}


def same_meaning(theirs: str, mine: str) -> bool:
    """Whether two refusals name the same cause; causes without a fixed wording only have to be refusals."""
    known = [meaning for text, meaning in MEANINGS.items() if text in theirs]
    return not known or any(meaning in mine for meaning in known)


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_random_tars_hash_and_fail_as_with_the_real_converter(layerhash: Path, tmp_path: Path, first: int) -> None:
    seeds = range(first, min(first + BATCH, SEEDS))
    wrong = {}
    hashed = 0
    for seed in seeds:
        data = RandomTar(seed).make()
        theirs, mine = reference(layerhash, data, tmp_path), ours(data)
        if "root_hash" in theirs:
            hashed += 1
            if mine != theirs:
                wrong[seed] = (theirs, mine)
        elif "error" not in mine or not same_meaning(theirs["error"], mine["error"]):
            wrong[seed] = (theirs, mine)
    assert not wrong
    assert hashed >= BATCH // 3, "the tars must be ones that mostly can be hashed"


def test_the_same_seed_makes_the_same_tars() -> None:
    digests = {hashlib.sha256(b"".join(RandomTar(seed).make() for seed in range(20))).hexdigest() for _ in range(2)}
    assert len(digests) == 1
