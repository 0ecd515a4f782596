"""`csum key approve` and `import --for`: nothing is approved that the data owner has not seen or named."""

import hashlib
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.cli import resources
from confidential_summarizer.cli.key import approval
from confidential_summarizer.release import build
from confidential_summarizer.sealing import create_key_file, new_key
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.target import Derivation
from tests.support.data_owner import Result, csum
from tests.support.fakes import FakeVault, measured
from tests.support.resources import ATTESTATION, document, spec

KEY = "contracts-key"


@asynccontextmanager
async def no_identity():
    yield None


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeVault:
    vault = FakeVault()
    monkeypatch.setattr(approval, "credential", no_identity)
    monkeypatch.setattr(approval, "KeyVault", lambda host, _identity, retries: vault.opened(host))
    monkeypatch.setattr(resources, "derive_from_registry", derived_with("1"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return vault


def derived_with(layer: str) -> Callable[..., Any]:
    """Stand in for the registry: every image has one layer with this hash."""

    async def work(resource: ConfidentialSummarizer, *, token_sha256: str | None = None) -> Derivation:
        references = image_references(resource).items()
        images = {name: measured(reference, layer=layer) for name, reference in references}
        return derive(resource, images, token_sha256=token_sha256)

    return work


def resource_file(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "contracts.yaml"
    file.write_text(yaml.safe_dump(document(**changes)), encoding="utf-8")
    return file


def approve(file: Path, *options: str, answer: str = "") -> Result:
    return csum("key", "approve", file, *options, "-o", "json", answer=answer)


def host_data(file: Path) -> str:
    """What the command itself says, of which the owner may have heard elsewhere."""
    shown = approve(file, answer="n\n")
    assert shown.code == 130
    return next(line.split()[1] for line in shown.err.splitlines() if line.startswith("host-data "))


def test_the_policy_is_shown_and_approved_only_after_a_yes(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)

    refused = approve(file, answer="n\n")
    assert refused.code == 130
    assert vault.calls == []
    assert "is PRIVILEGED" in refused.err
    assert "https://party2.blob.core.windows.net/sealed/contracts.img" in refused.err

    approved = approve(file, answer="y\n")
    assert approved.code == 0, approved.err
    assert approved.data["hostData"] == ["ff" * 32, host_data(file)]


def test_a_script_has_to_name_the_hash(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)

    assert approve(file, "--yes").code == 2
    wrong = approve(file, "--yes", "--expect-host-data", "ee" * 32)
    assert wrong.code == 1
    assert "nothing was approved" in wrong.err
    assert vault.calls == []
    assert approve(file, "--yes", "--expect-host-data", host_data(file)).code == 0


def test_a_second_approval_shows_what_changed(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)
    assert "Since the approval" not in approve(file, answer="y\n").err
    assert "nothing changed" in approve(file, answer="y\n").err

    monkeypatch.setattr(resources, "derive_from_registry", derived_with("2"))
    changed = approve(resource_file(tmp_path, summarizer={"maxWords": 200}), answer="n\n").err

    assert "changed:" in changed
    assert "SUMMARIZER_MAX_WORDS=120" in changed
    assert "SUMMARIZER_MAX_WORDS=200" in changed
    assert "layers" in changed
    assert "2" * 64 in changed


def test_a_policy_that_lets_others_look_in_is_called_dangerous(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))

    shown = approve(resource_file(tmp_path, policy={"profile": "Debug"}), answer="n\n")

    assert "Do not approve this for real text" in shown.err


def test_an_approval_says_in_words_which_files_the_group_takes(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    (documents,) = spec()["fileSystems"]
    key = "A" * 43 + "="

    def shown(**pin: object) -> str:
        return approve(resource_file(tmp_path, fileSystems=[documents | pin]), answer="n\n").err

    assert "Warning: documents are not pinned" in shown()
    assert f"only files with contentSHA256 {'a' * 64}" in shown(contentSHA256="a" * 64)
    assert f"any files that contentKey {key} signed, from version 4 on" in shown(contentKey=key, minVersion=4)


def test_an_approval_says_in_words_how_much_of_the_text_readers_may_see(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))

    def shown(guard: dict[str, object]) -> str:
        return approve(resource_file(tmp_path, summarizer={"maxWords": 90, "guard": guard}), answer="n\n").err

    bounded = shown({"maxShare": 7, "maxRun": 12, "minLetters": 400})
    assert "a summary has 90 words at most; it repeats at most 12 words in a row" in bounded
    assert "at most 7 % of it; documents under 400 letters get none" in bounded
    assert "Warning: copying is not bounded" in shown({"mode": "report"})


def test_a_readers_token_is_part_of_what_is_approved(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path, access={"tokenSecretRef": {"name": "readers"}})
    assert approve(file).code == 3

    (tmp_path / "token").write_text("planted-token-planted-token-planted")
    shown = approve(file, "--token-file", str(tmp_path / "token"), answer="y\n")

    assert shown.code == 0
    assert "planted-token" not in shown.err + shown.out


def test_an_import_for_a_resource_takes_names_vault_and_hash_from_it(vault: FakeVault, tmp_path: Path) -> None:
    key = new_key()
    create_key_file(tmp_path / "key", key)

    result = csum(
        "key", "import", "--key", tmp_path / "key", "--for", resource_file(tmp_path), "-o", "json", answer="y\n"
    )

    assert result.code == 0, result.err
    assert vault.material == {KEY: key}
    policy = vault.keys[KEY].release_policy
    assert policy is not None
    assert policy == build(result.data["hostData"], [ATTESTATION])


def test_a_hash_checked_elsewhere_needs_no_resource(vault: FakeVault) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))

    result = csum("key", "approve", "--host-data", "ab" * 32, "--name", KEY, "--vault", vault.host, "-o", "json")

    assert result.data["hostData"] == ["ff" * 32, "ab" * 32]


@pytest.mark.parametrize(
    "arguments",
    [
        ("approve",),
        ("approve", "x.yaml", "--host-data", "ab" * 32),
        ("approve", "--host-data", "ab" * 32),
        ("import", "k", "--key", "f"),
        ("import", "k", "--key", "f", "--host-data", "ab" * 32, "--for", "x"),
        ("show",),
        ("show", "k", "--vault", "v", "--hex"),
        ("show", "k", "--vault", "v", "--key", "f"),
    ],
)
def test_a_command_line_without_sense_is_refused(arguments: tuple[str, ...]) -> None:
    assert csum("key", *arguments).code == 2


def test_a_resource_that_is_nowhere_is_named(vault: FakeVault) -> None:
    result = csum("key", "approve", "No Such File")

    assert result.code == 3
    assert "No Such File" in result.err


def test_the_hash_of_the_readers_token_is_taken_from_the_resource(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    digest = hashlib.sha256(b"t" * 64).hexdigest()
    (tmp_path / "token").write_bytes(b"t" * 64)
    owners = resource_file(tmp_path, access={"tokenSHA256": digest})
    shown = approve(owners, answer="n\n").err
    admins = resource_file(tmp_path, access={"tokenSecretRef": {"name": "readers"}})

    assert digest in shown
    assert approve(admins, "--token-file", str(tmp_path / "token"), answer="n\n").err == shown


def test_a_line_break_at_the_end_of_a_token_file_is_no_part_of_the_token(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path, access={"tokenSecretRef": {"name": "readers"}})
    shown = []
    for end in ("", "\n", "\r\n"):
        (tmp_path / "token").write_bytes(b"t" * 64 + end.encode())
        shown.append(approve(file, "--token-file", str(tmp_path / "token"), answer="n\n").err)

    assert len(set(shown)) == 1
    assert "SUMMARIZER_TOKEN_SHA256" in shown[0]
