"""Who makes an image or evidence that the data owner's machine reads."""

import base64
import json
import stat
from pathlib import Path

import pytest

from confidential_summarizer.blueprint import ENCFS, SUMMARIZER
from confidential_summarizer.cli.console import emit, fail, note
from confidential_summarizer.cli.key.review import description
from confidential_summarizer.cli.verify import checks_table
from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence import Check, Token
from confidential_summarizer.targets.derive import derive
from summarizer.convert import prepare
from summarizer.errors import ModelError
from tests.support.data_owner import csum
from tests.support.policy_scenarios import measured_image
from tests.support.resources import IMAGE, resource

pytestmark = pytest.mark.needs("mke2fs", "cryptsetup")


def hostile_image(folder: Path, name: bytes, monkeypatch: pytest.MonkeyPatch, *, twin: str | None = None) -> Path:
    """Seal a folder whose one entry gets another name inside the file system, as its maker can give it."""
    documents = folder / "documents"
    documents.mkdir()
    innocent = "n" * len(name)
    (documents / innocent).write_text("attacker's text", encoding="utf-8")
    if twin is not None:
        (documents / twin).write_text("the other", encoding="utf-8")
    from confidential_summarizer.sealing import image as sealing_image

    run = sealing_image.run_tool

    def renamed(arguments: list[str], **options: object) -> str:
        # Its maker need not keep checksums.
        arguments = [argument.replace("metadata_csum", "^metadata_csum") for argument in arguments]
        output = run(arguments, **options)  # type: ignore[arg-type]
        if arguments[0] == "mke2fs":
            descriptor = options["descriptors"][0]  # type: ignore[index]
            rename(Path(f"/proc/self/fd/{descriptor}"), innocent.encode(), name)
        return output

    monkeypatch.setattr(sealing_image, "run_tool", renamed)
    sealed = csum("seal", documents, "--out", folder / "image")
    assert sealed.code == 0, sealed.err
    return folder / "image"


def rename(file_system: Path, old: bytes, new: bytes) -> None:
    """Put another name of the same length into the directory's block."""
    data = file_system.read_bytes()
    place = data.index(old)
    with file_system.open("r+b") as file:
        file.seek(place)
        file.write(new)


@pytest.mark.parametrize(
    "name", [b"../../evil-file", b"../evil-file-01", b"a/../../../evil", b"/tmp/evil-place", b"line\n../../evil"]
)
def test_unseal_writes_only_below_its_folder(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "one" / "two"
    work.mkdir(parents=True)
    image = hostile_image(work, name, monkeypatch)
    before = set(tmp_path.rglob("*"))

    result = csum("unseal", image, "--key", work / "image.key", "--out", work / "out")

    assert set(tmp_path.rglob("*")) == before
    assert not Path("/tmp/evil-place").exists()
    assert result.code == 3
    assert "nothing was written" in result.err


def test_two_entries_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = hostile_image(tmp_path, b"twin", monkeypatch, twin="twin")

    result = csum("unseal", image, "--key", tmp_path / "image.key", "--out", tmp_path / "out")

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
