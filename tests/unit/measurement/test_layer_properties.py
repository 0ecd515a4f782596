"""Random tars: what other tools say of the file system, and that nothing makes us fall over."""

import os
import random
import re
import shutil
import stat
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confidential_summarizer.errors import ImageError
from confidential_summarizer.measurement.layer import measure_layer
from tests.support.images import file_system, root_hash
from tests.support.tars import Entry, RandomTar, tar

names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc"]), min_size=1, max_size=40
)
paths = st.lists(names.filter(lambda n: n not in {".", ".."} and not n.startswith(".wh.")), min_size=1, max_size=4)
BITMAP_PADDING = "Padding at end of inode bitmap is not set. "
"""The one thing that newer versions of e2fsck find in the reference's file systems too."""
HOSTILE = int(os.environ.get("CSUM_HOSTILE_TARS", "2000"))


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@st.composite
def trees(draw: st.DrawFn) -> bytes:
    """A tar as an ordinary writer makes it: directories before what is in them, every path once."""
    buffer = BytesIO()
    seen: set[tuple[str, ...]] = set()
    with tarfile.open(
        fileobj=buffer, mode="w", format=draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    ) as out:
        for parts in draw(st.lists(paths, max_size=12)):
            for depth in range(1, len(parts)):
                if tuple(parts[:depth]) not in seen:
                    seen.add(tuple(parts[:depth]))
                    folder = tarfile.TarInfo("/".join(parts[:depth]))
                    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                    out.addfile(folder)
            if tuple(parts) in seen or any(tuple(parts[:depth]) in _files(seen, out) for depth in range(1, len(parts))):
                continue
            seen.add(tuple(parts))
            info = tarfile.TarInfo("/".join(parts))
            info.mode = draw(st.integers(0, 0o7777))
            info.uid, info.gid = draw(st.integers(0, 1 << 21)), draw(st.integers(0, 1 << 21))
            info.mtime = draw(st.integers(0, 1 << 33))
            if draw(st.booleans()):
                data = draw(st.binary(max_size=10_000))
                info.size = len(data)
                out.addfile(info, BytesIO(data))
            else:
                info.type, info.linkname = tarfile.SYMTYPE, draw(names)
                out.addfile(info)
    return buffer.getvalue()


def _files(seen: set[tuple[str, ...]], out: tarfile.TarFile) -> set[tuple[str, ...]]:
    return {tuple(member.name.split("/")) for member in out.getmembers() if not member.isdir()} & seen


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=trees())
def test_e2fsck_finds_nothing_and_veritysetup_computes_the_same_root(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fsck, verity = tool("e2fsck"), tool("veritysetup")
    folder = tmp_path_factory.mktemp("image")
    image = folder / "layer.ext4"
    try:
        _, root = file_system(data, image)
    except ImageError:
        return
    checked = subprocess.run([fsck, "-fn", image], capture_output=True, text=True)
    problems = re.findall(r"^(.*)\bFix\? no$", checked.stdout, re.MULTILINE)
    assert set(problems) <= {BITMAP_PADDING}, checked.stdout
    assert checked.returncode in ({4} if problems else {0}), checked.stdout
    command = [
        verity,
        "format",
        "--salt=" + "00" * 32,
        "--hash=sha256",
        "--data-block-size=4096",
        "--hash-block-size=4096",
    ]
    formatted = subprocess.run([*command, image, folder / "tree"], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stderr
    found = re.search(r"Root hash:\s+([0-9a-f]{64})", formatted.stdout)
    assert found
    assert found.group(1) == root


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=trees())
def test_debugfs_sees_the_tree_of_the_tar(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    debugfs = tool("debugfs")
    folder = tmp_path_factory.mktemp("tree")
    image, unpacked = folder / "layer.ext4", folder / "unpacked"
    unpacked.mkdir()
    try:
        file_system(data, image)
    except ImageError:
        return
    dumped = subprocess.run([debugfs, "-R", f"rdump / {unpacked}", image], capture_output=True, text=True)
    assert dumped.returncode == 0, dumped.stderr
    assert seen_on_disk(unpacked) == seen_in_tar(data)


def seen_on_disk(folder: Path) -> dict[str, tuple[str, object]]:
    """Kind and content of every file, by path."""
    found: dict[str, tuple[str, object]] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if name == "lost+found":
            continue
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("link", str(path.readlink()))
        elif stat.S_ISDIR(status.st_mode):
            found[name] = ("dir", None)
        else:
            found[name] = ("file", path.read_bytes())
    return found


def seen_in_tar(data: bytes) -> dict[str, tuple[str, object]]:
    """The same, from the tar."""
    found: dict[str, tuple[str, object]] = {}
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        for member in archive:
            if member.issym():
                found[member.name] = ("link", member.linkname)
            elif member.isdir():
                found[member.name] = ("dir", None)
            else:
                file = archive.extractfile(member)
                found[member.name] = ("file", file.read() if file else b"")
    return found


def measured_or_refused(data: bytes) -> bool:
    """Whether there is a hash; anything but one or an error of ours fails the test."""
    try:
        return len(measure_layer([data]).root_hash) == 64
    except ImageError:
        return False


@pytest.mark.parametrize("first", range(0, HOSTILE, 500))
def test_hostile_tars_give_a_hash_or_an_error_of_ours(first: int) -> None:
    hashed = 0
    for seed in range(first, min(first + 500, HOSTILE)):
        rng = random.Random(-seed - 1)  # noqa: S311 - no secrets here
        maker = RandomTar(-seed - 1)
        data = maker.make()
        for _ in range(rng.choice([1, 1, 3, 20])):
            data = maker.damaged(data)
        if rng.random() < 0.1:
            data = rng.randbytes(rng.randrange(5000))
        hashed += measured_or_refused(data)
    assert hashed


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_give_a_hash_or_an_error_of_ours(data: bytes) -> None:
    assert measured_or_refused(data) in {True, False}


def test_a_path_of_a_hundred_thousand_components_does_not_exhaust_the_stack() -> None:
    deep = b"/".join([b"d"] * 100_000)
    assert len(root_hash(tar(Entry(b"x", records={b"path": deep})))) == 64


def test_a_small_archive_of_many_entries_stays_small_in_memory() -> None:
    data = tar(*(Entry(b"f%d" % number) for number in range(20_000)))
    assert len(root_hash(data)) == 64
