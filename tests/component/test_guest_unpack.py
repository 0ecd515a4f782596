"""What the guest unpacks is what was measured: the same files as in the file system whose root hash counts."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.tar_reader import TarReader
from tests.support.images import file_system
from tests.support.tars import Entry, RandomTar, tar

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking changes the root folder")

LOST_AND_FOUND = b"lost+found"
SOME_LENGTH = 4096
LONGEST_NAME = 1000  # paths of 4096 bytes end at PATH_MAX, here below another folder


def unpack(archive: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    folder.mkdir()
    command = [sys.executable, "-m", "azure_sandbox.guest.unpack", str(folder)]
    return subprocess.run(command, input=archive, capture_output=True, check=False)


def measured(archive: bytes, folder: Path) -> Path:
    """The files of the measured file system, written out by e2fsprogs."""
    image, files = folder / "image.ext4", folder / "files"
    file_system(archive, image)
    files.mkdir()
    subprocess.run(["debugfs", "-R", "rdump / .", str(image)], cwd=files, capture_output=True, check=True)
    return files


def listing(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Every file, link and folder below a root with all that a container could see of it."""
    found: dict[bytes, tuple[object, ...]] = {}
    for parent, folders, files in os.walk(bytes(root)):
        for name in (*folders, *files):
            path = os.path.join(parent, name)  # noqa: PTH118 - names are bytes
            status = os.lstat(path)
            owner, mode = (status.st_uid, status.st_gid), status.st_mode & 0o777  # debugfs writes no other bits
            relative = os.path.relpath(path, bytes(root))
            if stat.S_ISLNK(status.st_mode):
                found[relative] = ("link", os.readlink(path))  # noqa: PTH115
            elif stat.S_ISDIR(status.st_mode):
                found[relative] = ("folder", owner, mode)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:  # noqa: PTH123
                    found[relative] = ("file", owner, mode, file.read())
    found.pop(LOST_AND_FOUND, None)
    return found


def names(archive: bytes) -> list[bytes]:
    reader = TarReader(ByteStream([archive]))
    found = []
    while (header := reader.next()) is not None:
        found += [header.name, header.linkname]
    return found


def random_tars(count: int, seed: int) -> list[tuple[int, bytes]]:
    """Archives of some length that the reference takes and whose names a Linux kernel takes, too."""
    chosen: list[tuple[int, bytes]] = []
    number = seed
    while len(chosen) < count:
        maker = RandomTar(number)
        archive = maker.make()
        number += 1
        try:
            file_system(archive)
        except UnhashableLayer:
            continue
        if len(archive) > SOME_LENGTH and all(len(name) < LONGEST_NAME for name in names(archive)):
            chosen.append((number - 1, archive))
    return chosen


@pytest.mark.parametrize("archive", [pytest.param(archive, id=str(seed)) for seed, archive in random_tars(30, 1)])
def test_random_layers_are_unpacked_as_they_are_measured(archive: bytes, tmp_path: Path) -> None:
    result = unpack(archive, tmp_path / "unpacked")
    assert result.returncode == 0, result.stderr
    assert listing(tmp_path / "unpacked") == listing(measured(archive, tmp_path))


def test_times_special_bits_attributes_and_whiteouts_are_kept(tmp_path: Path) -> None:
    archive = tar(
        Entry(b"bin", b"5", mode=0o1777, mtime=1_600_000_000),
        Entry(b"bin/su", data=b"x", mode=0o4755, records={b"SCHILY.xattr.user.a": b"b"}, mtime=1_500_000_000),
        Entry(b"bin/same", b"1", linkname=b"bin/su"),
        Entry(b"bin/.wh.gone"),
        Entry(b"bin/.wh..wh..opq"),
        Entry(b"dev/null", b"3", device=(1, 3)),
    )
    assert unpack(archive, tmp_path / "root").returncode == 0
    folder = tmp_path / "root" / "bin"
    program = (folder / "su").stat()
    assert (program.st_mode & 0o7777, program.st_nlink, program.st_mtime) == (0o4755, 2, 1_500_000_000)
    assert os.getxattr(folder / "su", "user.a") == b"b"
    assert (folder.stat().st_mode & 0o7777, folder.stat().st_mtime) == (0o1777, 1_600_000_000)
    assert os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    hidden = (folder / "gone").lstat()
    assert (stat.S_IFMT(hidden.st_mode), hidden.st_rdev) == (stat.S_IFCHR, 0)
    assert list((tmp_path / "root" / "dev").iterdir()) == []  # devices are for the guest to give


HOSTILE = {
    "a path upwards": tar(Entry(b"../../outside/evil", data=b"x")),
    "an absolute path": tar(Entry(b"/%s/outside/evil", data=b"x")),
    "a file below a link": tar(Entry(b"way", b"2", linkname=b"../outside"), Entry(b"way/evil", data=b"x")),
    "a file over a link": tar(Entry(b"way", b"2", linkname=b"../outside/secret"), Entry(b"way", data=b"x")),
    "a hard link upwards": tar(Entry(b"way", b"1", linkname=b"../outside/secret"), Entry(b"way", data=b"x")),
    "a hard link through a link": tar(
        Entry(b"way", b"2", linkname=b"../outside"), Entry(b"got", b"1", linkname=b"way/secret")
    ),
    "a whiteout below a link": tar(Entry(b"way", b"2", linkname=b"../outside"), Entry(b"way/.wh.secret")),
    "a folder over a link": tar(Entry(b"way", b"2", linkname=b"../outside"), Entry(b"way", b"5", mode=0o777)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_outside_the_folder_is_touched(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "secret").write_bytes(b"kept")
    unpack(HOSTILE[name], tmp_path / "root")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"kept"
    assert (outside / "secret").stat().st_nlink == 1
    assert outside.stat().st_mode & 0o777 == 0o755


def test_a_malformed_layer_fails_with_its_cause_in_the_last_line(tmp_path: Path) -> None:
    result = unpack(tar(Entry(b"a", data=bytes(600)))[:700], tmp_path / "root")
    assert result.returncode != 0
    assert b"unexpected EOF" in result.stderr.splitlines()[-1]
