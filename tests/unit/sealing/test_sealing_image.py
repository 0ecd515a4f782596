import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing import inspect, new_key, read_header, seal, unseal
from confidential_summarizer.sealing.luks import DATA_OFFSET

pytestmark = pytest.mark.needs("mke2fs", "cryptsetup")

SECRET = b"Nobody outside of the group may ever read this sentence of the contract. "


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    (directory / "2024" / "ümlaut with space").mkdir(parents=True)
    (directory / "contract.txt").write_bytes(SECRET * 1000)
    (directory / ".hidden").write_bytes(b"dot")
    (directory / "2024" / "ümlaut with space" / 'quote".bin').write_bytes(os.urandom(300_000))
    (directory / "empty").touch()
    (directory / ".hidden").chmod(0o640)
    (directory / "2024").chmod(0o750)
    return directory


def tree(directory: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Every path with its mode and content."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in sorted(directory.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(directory))] = (stat.S_IMODE(path.lstat().st_mode), content)
    return found


def test_what_was_sealed_comes_out_again_with_its_modes_and_dot_files(documents: Path, tmp_path: Path) -> None:
    key = new_key()

    image = seal(documents, tmp_path / "image", key)
    unseal(image.path, tmp_path / "out", key)

    assert tree(tmp_path / "out") == tree(documents)


def test_the_image_has_the_parameters_that_the_sidecar_opens(documents: Path, tmp_path: Path) -> None:
    image = seal(documents, tmp_path / "image", new_key())

    header = read_header(image.path)
    assert header == image.header
    assert header.cipher == "aes-xts-plain64"
    assert (header.sector_size, header.offset, header.key_bits) == (4096, 16 * 1024 * 1024, 512)
    (slot,), (digest,) = header.key_slots, header.digests
    assert (slot.cipher, slot.kdf, digest.kdf) == ("aes-xts-plain64", "pbkdf2 sha256 1000", "pbkdf2 sha256 1000")
    assert header.obstacles() == ()
    assert image.path.stat().st_size == image.size
    assert image.size % (512 * 1024) == 0
    assert stat.S_IMODE(image.path.stat().st_mode) == 0o600


def test_every_sector_is_aes_xts_with_its_number_in_512_byte_units(documents: Path, tmp_path: Path) -> None:
    """An independent decryption, from the volume key that cryptsetup takes out of the header."""
    key, image = new_key(), tmp_path / "image"
    seal(documents, image, key, size=2 * 1024 * 1024)
    (tmp_path / "key").write_bytes(key)
    subprocess.run(
        [
            "cryptsetup",
            "luksDump",
            "--dump-volume-key",
            "--batch-mode",
            "--key-file",
            tmp_path / "key",
            "--volume-key-file",
            tmp_path / "volume-key",
            image,
        ],
        check=True,
        capture_output=True,
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    volume_key = algorithms.AES((tmp_path / "volume-key").read_bytes())

    data = image.read_bytes()[DATA_OFFSET:]
    plain = b"".join(
        Cipher(volume_key, modes.XTS((8 * n).to_bytes(16, "little"))).decryptor().update(data[4096 * n :][:4096])
        for n in range(len(data) // 4096)
    )

    assert plain.count(SECRET) >= 1000
    (tmp_path / "plain").write_bytes(plain)
    checked = subprocess.run(["/usr/sbin/e2fsck", "-fn", tmp_path / "plain"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_no_plain_text_is_left_in_the_image(documents: Path, tmp_path: Path) -> None:
    image = seal(documents, tmp_path / "image", new_key())

    data = image.path.read_bytes()
    assert SECRET[:20] not in data
    assert b"contract.txt" not in data


def test_cryptsetup_accepts_the_key(documents: Path, tmp_path: Path) -> None:
    key = new_key()
    seal(documents, tmp_path / "image", key)

    opened = subprocess.run(
        ["/usr/sbin/cryptsetup", "open", "--test-passphrase", tmp_path / "image", "--key-file", "-"],
        input=key,
        check=False,
    )
    assert opened.returncode == 0


@pytest.mark.parametrize("size", [None, 1 << 20, pytest.param(64 << 20, marks=pytest.mark.slow)])
def test_the_file_system_is_sound_at_any_size(tmp_path: Path, size: int | None) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "a").write_bytes(b"x")

    key = new_key()
    image = seal(directory, tmp_path / "image", key, size=size)

    result = inspect(image.path, key)
    assert result.obstacles == ()
    assert [entry.path for entry in result.entries or ()] == ["a"]


def test_many_small_files_fit_into_the_computed_size(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    for number in range(60):
        (directory / f"part{number}").mkdir(parents=True)
        for item in range(25):
            (directory / f"part{number}" / f"a rather long name of a small file {item}").write_bytes(b"x" * number)

    image = seal(directory, tmp_path / "image", new_key())

    assert image.plan.inodes >= 1561


def test_an_inspection_with_the_key_lists_the_names(documents: Path, tmp_path: Path) -> None:
    key = new_key()
    seal(documents, tmp_path / "image", key)

    entries = inspect(tmp_path / "image", key).entries

    assert entries is not None
    assert [entry.path for entry in entries] == sorted(tree(documents))
    assert next(e for e in entries if e.path == "contract.txt").size == len(SECRET) * 1000
    assert stat.S_IMODE(next(e for e in entries if e.path == ".hidden").mode) == 0o640


def test_an_inspection_without_the_key_lists_nothing(documents: Path, tmp_path: Path) -> None:
    seal(documents, tmp_path / "image", new_key())

    assert inspect(tmp_path / "image").entries is None


def test_another_key_does_not_open_the_image(documents: Path, tmp_path: Path) -> None:
    seal(documents, tmp_path / "image", new_key())

    with pytest.raises(SealingError, match="sealed with another one"):
        unseal(tmp_path / "image", tmp_path / "out", new_key())
    assert not (tmp_path / "out").exists()


def test_a_damaged_header_is_noticed(documents: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    seal(documents, image, new_key())
    with image.open("r+b") as file:
        file.seek(4200)
        file.write(b"!")

    with pytest.raises(SealingError, match="damaged"):
        read_header(image)


def test_a_file_that_is_no_image_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    with pytest.raises(SealingError, match="no LUKS image"):
        read_header(tmp_path / "text")


def test_a_failed_seal_leaves_an_older_image_alone_and_nothing_beside_it(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"older")
    monkeypatch.setattr("confidential_summarizer.sealing.image.encrypt", interrupted)

    with pytest.raises(KeyboardInterrupt):
        seal(documents, image, new_key())

    assert image.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == {"image", "documents"}


def interrupted(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_file_system_without_nameless_files_works_too(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def without_tmpfile(path: object, flags: int, *arguments: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real_open(path, flags, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", without_tmpfile)
    key = new_key()

    seal(documents, tmp_path / "image", key)

    assert inspect(tmp_path / "image", key).entries
    assert {path.name for path in tmp_path.iterdir()} == {"image", "documents"}


@pytest.mark.parametrize("place", ["documents/image", "missing/image"])
def test_an_impossible_place_is_refused(documents: Path, tmp_path: Path, place: str) -> None:
    with pytest.raises(SealingError):
        seal(documents, tmp_path / place, new_key())


def test_a_size_that_is_too_small_is_refused_with_the_size_that_is_needed(documents: Path, tmp_path: Path) -> None:
    (documents / "large").write_bytes(os.urandom(9_000_000))

    with pytest.raises(SealingError, match="needs about"):
        seal(documents, tmp_path / "image", new_key(), size=2_000_000)


def test_a_missing_program_is_named_with_its_package(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_a, **_k: None)

    with pytest.raises(SealingError, match="apt install e2fsprogs"):
        seal(documents, tmp_path / "image", new_key())
