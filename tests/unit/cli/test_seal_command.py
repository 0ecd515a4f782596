"""`csum seal`, `unseal`, `inspect`, `key new` and `key show` on the owner's machine."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data_owner import csum, fill

pytestmark = pytest.mark.needs("mke2fs", "cryptsetup")

PROGRAM = [sys.executable, "-c", "from confidential_summarizer.cli import main; main()"]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return fill(tmp_path / "documents", b"Between us. " * 100)


def test_a_seal_writes_an_image_and_a_private_key_beside_it(documents: Path, tmp_path: Path) -> None:
    result = csum("seal", documents, "-o", "json")

    assert result.code == 0, result.err
    assert result.data["newKey"] is True
    assert result.data["fileCount"] == len([path for path in documents.rglob("*") if path.is_file()])
    assert f"contentSHA256: {result.data['contentSHA256']}" in result.err
    assert {path.name for path in tmp_path.iterdir()} == {
        "documents",
        "documents.img",
        "documents.img.key",
        "documents.img.json",
    }
    assert stat.S_IMODE((tmp_path / "documents.img.key").stat().st_mode) == 0o600


def test_a_signed_seal_says_what_to_pin_and_an_inspection_who_signed(documents: Path, tmp_path: Path) -> None:
    signer, image = tmp_path / "signer.pem", tmp_path / "documents.img"
    signing = ("--sign", signer, "--version", "7", "--file-system", "minutes")

    result = csum("seal", documents, *signing, "-o", "json")

    assert result.code == 0, result.err
    assert stat.S_IMODE(signer.stat().st_mode) == 0o600
    assert f"contentKey: {result.data['contentKey']} and minVersion: 7" in result.err
    for options in ((), ("--key", f"{image}.key")):
        shown = csum("inspect", image, *options, "-o", "json").data
        names = ("contentSHA256", "contentKey", "version", "fileSystem")
        assert [shown[name] for name in names] == [result.data[name] for name in names]
    Path(f"{image}.json").unlink()
    alone = csum("inspect", image, "--key", f"{image}.key", "-o", "json").data
    assert (alone["version"], alone["contentKey"]) == (7, result.data["contentKey"])

    again = csum("seal", documents, *signing, "--force", "-o", "json")
    assert again.data["contentKey"] == result.data["contentKey"]
    assert csum("unseal", image, "--key", f"{image}.key", "--out", tmp_path / "out").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["contract.txt"]


def test_a_signature_needs_its_version(documents: Path, tmp_path: Path) -> None:
    assert csum("seal", documents, "--sign", tmp_path / "k").code == 2
    assert csum("seal", documents, "--version", "1").code == 2
    assert not (tmp_path / "k").exists()


def test_a_signature_for_no_name_of_a_file_system_is_refused(documents: Path, tmp_path: Path) -> None:
    result = csum("seal", documents, "--sign", tmp_path / "k", "--version", "1", "--file-system", "Two words")
    assert result.code == 3
    assert "name as in the resource" in result.err


def test_an_existing_key_is_used_again(documents: Path, tmp_path: Path) -> None:
    assert csum("key", "new", tmp_path / "key").code == 0
    before = (tmp_path / "key").read_bytes()

    result = csum("seal", documents, "--key", tmp_path / "key", "--out", tmp_path / "i", "-o", "json")

    assert result.data["newKey"] is False
    assert (tmp_path / "key").read_bytes() == before
    assert csum("unseal", tmp_path / "i", "--key", tmp_path / "key", "--out", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "contract.txt").read_bytes() == (documents / "contract.txt").read_bytes()


def test_an_image_is_replaced_only_by_force(documents: Path, tmp_path: Path) -> None:
    assert csum("seal", documents).code == 0
    first = (tmp_path / "documents.img").read_bytes()

    assert csum("seal", documents).code == 3
    assert (tmp_path / "documents.img").read_bytes() == first
    assert csum("seal", documents, "--force").code == 0


def test_a_failure_leaves_no_key_behind(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("confidential_summarizer.sealing.scratch.Scratch.publish", publish)

    result = csum("seal", documents)

    assert result.code in (1, 130)
    assert {path.name for path in tmp_path.iterdir()} == {"documents"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_seal_leaves_neither_image_nor_key(tmp_path: Path, number: signal.Signals) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    with (documents / "large").open("wb") as file:
        file.truncate(1 << 30)
    command = [*PROGRAM, "seal", str(documents), "--out", str(tmp_path / "image")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for_child(process.pid)
        process.send_signal(number)
        process.wait(60)

    assert process.returncode != 0
    assert {path.name for path in tmp_path.iterdir()} == {"documents"}


def wait_for_child(pid: int) -> None:
    """Wait until the process has started one of its programs."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if children.read_text().strip():
            return
        time.sleep(0.01)
    raise AssertionError("no program was started")


def test_an_inspection_says_whether_the_sidecar_can_open_it(documents: Path, tmp_path: Path) -> None:
    assert csum("seal", documents).code == 0

    with_key = csum("inspect", tmp_path / "documents.img", "--key", tmp_path / "documents.img.key", "-o", "json")

    assert with_key.code == 0
    assert with_key.data["obstacles"] == []
    assert [entry["path"] for entry in with_key.data["files"]] == ["contract.txt"]
    assert "files" not in csum("inspect", tmp_path / "documents.img", "-o", "json").data


def test_an_image_of_other_parameters_is_called_unusable(tmp_path: Path) -> None:
    image, key = tmp_path / "image", tmp_path / "key"
    assert csum("key", "new", key).code == 0
    with image.open("wb") as file:
        file.truncate(32 << 20)
    parameters = ["--sector-size", "512", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--batch-mode"]
    subprocess.run(["/usr/sbin/cryptsetup", "luksFormat", *parameters, "--key-file", key, image], check=True)

    result = csum("inspect", image, "-o", "json")

    assert result.code == 1
    assert result.data["obstacles"] == ["the sector size is 512, not 4096"]


def test_a_key_is_shown_only_when_its_bytes_are_asked_for(tmp_path: Path) -> None:
    assert csum("key", "new", tmp_path / "key").code == 0
    bytes_ = (tmp_path / "key").read_bytes().hex()

    assert bytes_ not in csum("key", "show", "--key", tmp_path / "key").out
    assert csum("key", "show", "--key", tmp_path / "key", "--hex", "-o", "json").data["hex"] == bytes_


def test_a_derived_key_records_its_salt(tmp_path: Path) -> None:
    made = csum("key", "new", tmp_path / "key", "--kty", "RSA-HSM", "--label", "mine", "-o", "json").data

    assert made["derivation"] == json.loads((tmp_path / "key.json").read_text())
    assert made["derivation"]["label"] == "mine"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_files_that_the_summarizer_may_not_read_are_pointed_out(documents: Path) -> None:
    (documents / "private.txt").touch(mode=0o600)

    assert "private.txt" in csum("seal", documents).err


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder for any user; pytest's own are closed to all others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_any_right_can_seal_and_unseal(everybodys: Path) -> None:
    """Neither root nor a device mapper: user nobody, without capabilities."""
    fill(everybodys / "documents", b"text")
    script = f"""
import os, pathlib
from confidential_summarizer import sealing  # before: Python itself may lie where that user cannot read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
key, place = sealing.new_key(), pathlib.Path({str(everybodys)!r})
sealing.seal(place / "documents", place / "image", key)
assert [entry.path for entry in sealing.inspect(place / "image", key).entries] == ["contract.txt"]
sealing.unseal(place / "image", place / "out", key)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert (everybodys / "out" / "contract.txt").read_bytes() == b"text"
