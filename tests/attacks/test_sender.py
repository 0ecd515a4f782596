"""Who makes an image or evidence that the data owner's machine reads."""

import base64
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from confidential_summarizer.blueprint import ENCFS, SUMMARIZER
from confidential_summarizer.cli.console import emit, fail, note
from confidential_summarizer.cli.key.review import description
from confidential_summarizer.cli.verify import checks_table
from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence import Check, Token
from confidential_summarizer.sealing import image as sealing_image
from confidential_summarizer.targets.derive import derive
from summarizer.convert import prepare
from summarizer.errors import ModelError
from tests.support.data_owner import Result, csum
from tests.support.policy_scenarios import measured_image
from tests.support.resources import IMAGE, resource

pytestmark = pytest.mark.needs("mke2fs", "cryptsetup")


def hostile_image(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: Mapping[str, bytes] = MappingProxyType({}),
    commands: Sequence[str] = (),
) -> Path:
    """Seal `folder/documents`, and have its maker change the file system inside before it is encrypted.

    Args:
        folder: Where the documents lie, and the image goes.
        monkeypatch: Puts the maker between `csum seal` and its tools.
        names: What entries are called then, by their names of the same length.
        commands: For debugfs; they come first.
    """
    run = sealing_image.run_tool

    def changed(arguments: list[str], **options: Any) -> str:
        # Its maker need not keep checksums.
        arguments = [argument.replace("metadata_csum", "^metadata_csum") for argument in arguments]
        output = run(arguments, **options)
        if arguments[0] == "mke2fs":
            (descriptor,) = options["descriptors"]
            path = f"/proc/self/fd/{descriptor}"
            script, place = "\n".join([*commands, ""]).encode(), f"{path}?offset={sealing_image.DATA_OFFSET}"
            run(["debugfs", "-w", "-f", "-", place], stdin=script, descriptors=(descriptor,))
            for old, new in names.items():
                rename(Path(path), old.encode(), new)
        return output

    monkeypatch.setattr(sealing_image, "run_tool", changed)
    sealed = csum("seal", folder / "documents", "--out", folder / "image")
    assert sealed.code == 0, sealed.err
    return folder / "image"


def rename(file_system: Path, old: bytes, new: bytes) -> None:
    """Put another name of the same length into the directory's block."""
    assert len(old) == len(new)
    data = file_system.read_bytes()
    place = data.index(old)
    with file_system.open("r+b") as file:
        file.seek(place)
        file.write(new)


def documents(folder: Path, *names: str) -> None:
    """Write the attacker's documents."""
    for name in names:
        file = folder / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("attacker's text", encoding="utf-8")


def unsealed_below(folder: Path, image: Path) -> Result:
    """Unseal an image into `folder/out`, and see that nothing was written elsewhere."""
    before = set(folder.parents[1].rglob("*"))
    result = csum("unseal", image, "--key", folder / "image.key", "--out", folder / "out")
    written = set(folder.parents[1].rglob("*")) - before
    assert all(path == folder / "out" or folder / "out" in path.parents for path in written)
    return result


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two folders down, so that there is something above."""
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "name", [b"../../evil-file", b"../evil-file-01", b"a/../../../evil", b"/tmp/evil-place", b"line\n../../evil"]
)
def test_unseal_writes_only_below_its_folder(name: bytes, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    innocent = "n" * len(name)
    documents(work, innocent)
    result = unsealed_below(work, hostile_image(work, monkeypatch, {innocent: name}))
    assert not Path("/tmp/evil-place").exists()
    assert result.code == 3
    assert "nothing was written" in result.err


def test_nor_by_a_name_in_the_folder_that_every_file_system_has(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents(work, "a.txt")
    image = hostile_image(
        work, monkeypatch, {"n" * 15: b"../../../a-file"}, ["cd lost+found", f"write {work}/documents/a.txt {'n' * 15}"]
    )
    result = unsealed_below(work, image)
    assert result.code == 3
    assert "leads elsewhere: nothing was written" in result.err


def test_nor_by_names_of_several_lines_that_look_like_those_of_the_program_that_lists_them(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = b"./5/\ndebugfs", b"./5/\ndebugfs/../../../../../evil"
    documents(work, "z/5/a.txt", f"z/{'d' * len(folder)}/a.txt", f"z/{'f' * len(file)}")
    names = {"d" * len(folder): folder, "f" * len(file): file}
    result = unsealed_below(work, hostile_image(work, monkeypatch, names))
    assert result.code == 3
    assert "nothing was written" in result.err


@pytest.mark.parametrize(
    "commands",
    [
        ["symlink outside /etc"],
        ["cd lost+found", "symlink outside /etc"],
        ["mknod outside p"],
        ["link / outside"],
        ["set_inode_field a.txt size 1000000000000"],
    ],
)
def test_what_csum_seal_takes_into_no_image_is_not_taken_out_of_one(
    commands: list[str], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents(work, "a.txt")
    result = unsealed_below(work, hostile_image(work, monkeypatch, commands=commands))
    assert result.code == 3
    assert "nothing was written" in result.err
    assert not (work / "out").exists()


def test_no_program_of_an_image_runs_as_whoever_unsealed_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents(work, "a.txt")
    image = hostile_image(work, monkeypatch, commands=["set_inode_field a.txt mode 0106755"])
    assert unsealed_below(work, image).code == 0
    assert stat.S_IMODE((work / "out" / "a.txt").stat().st_mode) == 0o755


def test_two_entries_of_one_name_are_refused(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents(work, "nnnn", "twin")
    result = unsealed_below(work, hostile_image(work, monkeypatch, {"nnnn": b"twin"}))
    assert result.code == 3
    assert "twice" in result.err


def test_unsealed_text_is_private_to_the_user(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.txt").write_text("text", encoding="utf-8")
    assert csum("seal", documents, "--out", tmp_path / "image").code == 0

    assert csum("unseal", tmp_path / "image", "--key", tmp_path / "image.key", "--out", tmp_path / "out").code == 0

    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


ERASE = "\x1b[40A\x1b[J"
"""Forty lines up, and everything below erased (ECMA-48)."""


def test_an_image_cannot_erase_what_its_approval_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    image = measured_image(IMAGE, "1" * 64, cmd=("/app",), env=(f"ZZ={ERASE}nothing to see\nhost-data 0000",))
    sidecars = {name: measured_image(f"mcr.io/{name}:1", "2" * 64) for name in (ENCFS,)}
    derivation = derive(resource(), {SUMMARIZER: image, **sidecars})
    for line in description(derivation):
        note(f"  {line}")
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert r"ZZ=\x1b[40A\x1b[Jnothing to see\nhost-data 0000" in shown


@pytest.mark.parametrize("said", ["https://x[/nonsense]", f"{ERASE}ok", "abc\u202egnp.exe"])
def test_evidence_cannot_rewrite_the_table_of_its_checks(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, "table", checks_table([Check("Attestation service", passed=False, detail=said)]))
    shown = capsys.readouterr().out
    assert "NO" in shown
    assert not any(character in shown for character in "\x1b\u202e")


@pytest.mark.parametrize("output", ["json", "yaml", "table"])
def test_no_form_of_output_passes_on_marks_that_steer_a_terminal(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    emit({"claim": f"abc\u202egnp.exe{ERASE}\x7f"}, output)
    assert not any(character in capsys.readouterr().out for character in "\x1b\x7f\u202e")


def test_yaml_keeps_names_readable(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"document": "Verträge.txt"}, "yaml")
    assert "Verträge.txt" in capsys.readouterr().out


def test_an_error_keeps_its_lines_and_none_of_its_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    fail(f"the page said {ERASE}\nsecond line")
    assert capsys.readouterr().err == "Error: the page said \\x1b[40A\\x1b[J\nsecond line\n"


@pytest.mark.parametrize("part", [0, 1], ids=["header", "claims"])
def test_a_token_nested_without_end_is_no_token(part: int) -> None:
    parts = [base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("="), "", "AA"]
    parts[1 - part] = parts[0]
    parts[part] = base64.urlsafe_b64encode(b"[" * 99_999).decode().rstrip("=")
    with pytest.raises(IntegrityError, match="no JWT"):
        Token.parse(".".join(parts))


@pytest.mark.parametrize(
    "value",
    [b"\xff", b"2020-13-45", b"[" * 3000, b"9" * 5000],
    ids=["no UTF-8", "no date", "nested", "no number"],
)
def test_a_resources_file_that_cannot_be_read_is_refused_with_a_sentence(value: bytes, tmp_path: Path) -> None:
    """The data owner gets it from the cluster admin."""
    file = tmp_path / "contracts.yaml"
    file.write_bytes(b"kind: ConfidentialSummarizer\nx: " + value)

    result = csum("key", "approve", file)

    assert result.code == 3
    assert "cannot be read as YAML" in result.err


def checkpoint_of(folder: Path) -> Path:
    """Write a checkpoint of a family that is taken as it is."""
    folder.mkdir(parents=True)
    config = {"model_type": "led", "max_encoder_position_embeddings": 1024}
    for name, content in (("config", config), ("tokenizer", {}), ("generation_config", {})):
        (folder / f"{name}.json").write_text(json.dumps(config if name == "config" else content), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("where", ["checkpoint", "hub/snapshots/revision"])
def test_a_checkpoint_takes_nothing_else_of_its_users_into_the_model(where: str, name: str, tmp_path: Path) -> None:
    """A model is sealed with a key that the cluster's admin may know, and is handed on."""
    secret = tmp_path / ".azure" / "msal_token_cache.json"
    secret.parent.mkdir()
    secret.write_text('{"AccessToken": "kept for another"}', encoding="utf-8")
    checkpoint = checkpoint_of(tmp_path / where)
    (checkpoint / name).unlink()
    if where.startswith("hub"):
        # As the cache of a hub is laid out, but for where its folder of files lies.
        (tmp_path / "hub" / "blobs").symlink_to(secret.parent)
        (checkpoint / name).symlink_to(f"../../blobs/{secret.name}")
    else:
        (checkpoint / name).symlink_to(secret)
    with pytest.raises(ModelError, match=f"{name} is a link that leads out of the checkpoint"):
        prepare(checkpoint, tmp_path / "models" / "led", [])
    assert not (tmp_path / "models").exists()


def test_weights_that_can_run_code_are_not_read_where_others_lie_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safetensors of a name that transformers does not look for would have it take the others."""
    read: list[str] = []

    class Transformers:
        def __init__(self, folder: str, **_options: object) -> None:
            read.extend(path.name for path in Path(folder).iterdir())

        def convert(self, *_arguments: object, **_options: object) -> None:
            raise OSError("no weights")

    monkeypatch.setattr("ctranslate2.converters.TransformersConverter", Transformers)
    checkpoint = checkpoint_of(tmp_path / "checkpoint")
    (checkpoint / "config.json").write_text('{"model_type": "t5", "n_positions": 512}', encoding="utf-8")
    (checkpoint / "model.safetensors").rename(checkpoint / "other.safetensors")
    (checkpoint / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelError, match="no weights"):
        prepare(checkpoint, tmp_path / "models" / "t5", [], "float32")
    assert sorted(read) == ["config.json", "generation_config.json", "other.safetensors", "tokenizer.json"]


def test_a_checkpoint_in_the_cache_of_a_hub_is_taken(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path / "hub" / "snapshots" / "revision")
    blobs = tmp_path / "hub" / "blobs"
    blobs.mkdir()
    for path in checkpoint.iterdir():
        path.rename(blobs / path.name)
        path.symlink_to(f"../../blobs/{path.name}")
    prepare(checkpoint, tmp_path / "led", [])
    assert (tmp_path / "led" / "model.safetensors").read_bytes() == b"weights"
    assert not [path for path in (tmp_path / "led").iterdir() if path.is_symlink()]
