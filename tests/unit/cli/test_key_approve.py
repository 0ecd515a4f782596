"""`csum key approve` and `import --for`: nothing is approved that the data owner has not seen or named."""

import hashlib
from dataclasses import replace
from pathlib import Path

import click
import pytest
import yaml

from confidential_summarizer.cli import resources
from confidential_summarizer.cli.key import released
from confidential_summarizer.cli.key.released import ReleasedImage
from confidential_summarizer.release import build
from confidential_summarizer.sealing import create_key_file, new_key
from tests.support.approving import KEY, approve, derived_with, host_data, resource_file, vault_in_process
from tests.support.data_owner import csum
from tests.support.fakes import FakeVault, measured
from tests.support.resources import ATTESTATION, IMAGE, VAULT, document, spec


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeVault:
    return vault_in_process(monkeypatch, tmp_path)


def test_the_policy_is_shown_and_approved_only_after_a_yes(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)

    refused = approve(file, answer="n\n")
    assert refused.code == 1
    assert "Not approved; nothing was changed." in refused.err
    assert vault.calls == []
    assert "PRIVILEGED" in refused.err
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


def test_nothing_is_approved_that_cannot_be_recorded(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "taken"))

    refused = approve(file, "--vault", VAULT, answer="y\n")

    assert refused.code == 3
    assert "name another folder in XDG_STATE_HOME" in refused.err
    assert vault.calls == []


def test_a_second_approval_shows_what_changed(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)
    assert "NEW: all of it" in approve(file, answer="y\n").err
    assert "host-data" in approve(file, answer="y\n").err

    monkeypatch.setattr(resources, "derive_from_registry", derived_with("2"))
    changed = approve(resource_file(tmp_path, summarizer={"maxWords": 200}), answer="n\n").err

    assert "NEW since" in changed
    assert "summarizer, SUMMARIZER_MAX_WORDS: 120 → 200" in changed
    assert "summarizer, the image's files: they differ" in changed
    assert f"encfs@sha256:{'2' * 64}" in changed


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

    assert "Warning: documents in documents are not pinned" in shown()
    assert f"only files with contentSHA256 {'a' * 64}" in shown(contentSHA256="a" * 64)
    assert f"any files that contentKey {key} signed, from version 4 on" in shown(contentKey=key, minVersion=4)


def two_owners() -> list[dict[str, object]]:
    (first,) = spec()["fileSystems"]
    return [
        first | {"name": "legal"},
        first | {"name": "sales", "contentSHA256": "c" * 64, "key": first["key"] | {"name": "sales-key"}},
    ]


def test_where_documents_are_of_several_owners_each_names_theirs(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    vault.add("sales-key", build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path, fileSystems=two_owners())

    unclear = approve(file, answer="y\n")
    assert unclear.code == 3
    assert f"legal (key {KEY} of {VAULT}), sales (key sales-key of {VAULT}). Name yours: --file-system" in unclear.err

    done = approve(file, "--file-system", "sales", answer="y\n")
    assert done.code == 0, done.err
    assert vault.calls == ["update sales-key"]
    assert f"documents in sales are pinned: only files with contentSHA256 {'c' * 64}" in done.err
    also = f"The groups also need key {KEY} of {VAULT}, which refuses them: csum key approve legal/contracts"
    assert f"{also} --file-system legal" in done.err


def test_what_changed_of_another_owners_documents_is_shown_by_their_name(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    legal, sales = two_owners()
    mine = ("--file-system", "legal")
    assert approve(resource_file(tmp_path, fileSystems=[legal, sales]), *mine, answer="y\n").code == 0
    changed = approve(resource_file(tmp_path, fileSystems=[legal, sales | {"contentSHA256": "d" * 64}]), *mine)
    assert f"summarizer, /mnt/remote/sales sha256: {'c' * 64} → {'d' * 64}" in changed.err


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


def test_an_import_for_a_resource_takes_name_and_hash_from_it(vault: FakeVault, tmp_path: Path) -> None:
    key = new_key()
    create_key_file(tmp_path / "key", key)

    result = csum(
        *("key", "import", "--key", tmp_path / "key", "--for", resource_file(tmp_path), "-o", "json"),
        *("--vault", VAULT, "--attestation", ATTESTATION),
        answer="y\n",
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
    assert hashlib.sha256(b"t" * 64).hexdigest() in shown[0]


def test_a_no_an_interruption_and_nobody_to_ask_end_differently(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)

    assert approve(file, answer="n\n").code == 1
    unattended = approve(file)
    assert unattended.code == 2
    assert "--yes --expect-host-data" in unattended.err

    def interrupted(*_arguments: object, **_options: object) -> bool:
        raise click.Abort from KeyboardInterrupt()

    monkeypatch.setattr(click, "confirm", interrupted)
    assert approve(file).code == 130
    assert vault.calls == []


def test_an_approval_says_which_other_key_still_refuses(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    vault.add("models-key", build(["ff" * 32], [ATTESTATION]))
    (documents,) = spec()["fileSystems"]
    models = documents | {
        "name": "models",
        "role": "Models",
        "contentSHA256": "a" * 64,
        "key": documents["key"] | {"name": "models-key"},
    }
    file = resource_file(tmp_path, fileSystems=[documents, models])

    told = "csum key approve legal/contracts --file-system models"
    assert told in approve(file, answer="y\n").err
    again = approve(file, answer="y\n")
    assert (again.data["changed"], told in again.err) == (False, True)
    assert told not in approve(file, "--file-system", "models", answer="y\n").err


def test_the_hash_of_the_readers_token_is_enough(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path, access={"tokenSecretRef": {"name": "readers"}})
    (tmp_path / "token").write_bytes(b"t" * 64)
    digest = hashlib.sha256(b"t" * 64).hexdigest()

    assert host_data(file, "--token-sha256", digest) == host_data(file, "--token-file", tmp_path / "token")
    assert approve(file, "--token-sha256", "t" * 64).code == 3
    assert approve(file, "--token-sha256", digest, "--token-file", tmp_path / "token").code == 2


def test_an_approval_fits_on_three_screens_and_shows_the_whole_when_asked(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)

    short, whole = (approve(file, *options, answer="n\n").err for options in ((), ("--full",)))

    assert len(short.splitlines()) <= 3 * 24
    assert "SUMMARIZER_ENGINE" not in short
    assert "summarizer has SUMMARIZER_ENGINE=auto" in whole


def test_a_change_of_the_sealed_image_is_shown_as_what_it_is(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    assert approve(resource_file(tmp_path), answer="y\n").code == 0
    (documents,) = spec()["fileSystems"]
    moved = documents["blobURL"].replace("/sealed/", "/elsewhere/")

    shown = approve(resource_file(tmp_path, fileSystems=[documents | {"blobURL": moved}]), answer="n\n").err

    assert f"documents azure_url: {documents['blobURL']} → {moved}" in shown
    assert "base64" not in shown


def test_a_comparison_is_with_the_same_resource_whoever_else_uses_the_key(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    assert approve(resource_file(tmp_path), answer="y\n").code == 0
    leases = document()
    leases["metadata"]["name"] = "leases"
    other = tmp_path / "leases.yaml"
    other.write_text(yaml.safe_dump(leases), encoding="utf-8")

    assert "NEW: all of it" in approve(other, answer="n\n").err


def test_an_image_is_called_that_of_a_release_or_unknown(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)
    assert "Warning: UNKNOWN image" in approve(file, answer="n\n").err

    digest = measured(IMAGE, layer="1").image.digest
    ours = ReleasedImage("1.2.3", "summarizer", digest, ("1" * 64,))
    monkeypatch.setattr(released, "released_images", lambda: (ours,))
    known = approve(file, answer="n\n").err
    assert "the summarizer of release 1.2.3" in known
    assert "UNKNOWN image" not in known

    monkeypatch.setattr(released, "released_images", lambda: (replace(ours, layers=("2" * 64,)),))
    assert "UNKNOWN image" in approve(file, answer="n\n").err


def test_another_image_than_the_expected_one_is_refused(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    file = resource_file(tmp_path)
    digest = measured(IMAGE, layer="1").image.digest

    for other in (f"sha256:{'9' * 64}", f"encrypted-file-systems=sha256:{'9' * 64}", f"nothing={digest}"):
        refused = approve(file, "--expect-image", other, answer="y\n")
        assert refused.code == 1
        assert "nothing was approved" in refused.err
    assert approve(file, "--expect-image", "v1.2.3", answer="y\n").code == 2
    assert vault.calls == []
    assert approve(file, "--expect-image", digest, answer="y\n").code == 0


def test_a_sidecar_from_a_mirror_is_called_so(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    mirror = {"encfs": f"mirror.example/encfs@sha256:{'1' * 64}"}

    assert "NOT from mcr.microsoft.com" in approve(resource_file(tmp_path, sidecars=mirror), answer="n\n").err
    assert "NOT from" not in approve(resource_file(tmp_path), answer="n\n").err


def test_long_values_are_shown_where_they_begin_to_differ(vault: FakeVault, tmp_path: Path) -> None:
    vault.add(KEY, build(["ff" * 32], [ATTESTATION]))
    (documents,) = spec()["fileSystems"]
    stem = "https://party2.blob.core.windows.net/sealed/" + "long/" * 60
    assert approve(resource_file(tmp_path, fileSystems=[documents | {"blobURL": f"{stem}a"}]), answer="y\n").code == 0

    changed = approve(resource_file(tmp_path, fileSystems=[documents | {"blobURL": f"{stem}b"}]), answer="n\n").err

    assert "/long/a → …" in changed
    assert "/long/b" in changed
