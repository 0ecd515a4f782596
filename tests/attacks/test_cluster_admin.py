"""The cluster admin writes the resource, runs the operator and serves the cluster's API; the data owner has `csum`."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyrage
import pytest

from confidential_summarizer.blueprint import ENCFS, image_references
from confidential_summarizer.cli import question, resources
from confidential_summarizer.cli.approvals import Approvals
from confidential_summarizer.cli.key import released
from confidential_summarizer.cli.key.released import ReleasedImage
from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.kube import client
from confidential_summarizer.release import build
from confidential_summarizer.sealing import create_key_file
from tests.attacks.test_host import Page, served
from tests.support.approving import KEY, approve, host_data, resource_file, vault_in_process
from tests.support.data_owner import Result, csum
from tests.support.fakes import FakeVault, measured
from tests.support.resources import ATTESTATION, VAULT, document, resource, spec
from tests.unit.targets.test_batch import DOCUMENTS

OLD = "ff" * 32
MALLORYS_SERVICE = "mallory.eus2.attest.azure.net"
"""Anybody with a subscription can set one up, and write its policy."""
MALLORYS_VAULT = "mallory.managedhsm.azure.net"
DEBUG = {"policy": {"profile": "Debug"}}


def asking(**key: str) -> dict[str, Any]:
    """Return a change of the resource: its key is elsewhere, or vouched for by somebody else."""
    (documents,) = spec()["fileSystems"]
    return {"fileSystems": [documents | {"key": documents["key"] | key}]}


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeVault:
    vault = vault_in_process(monkeypatch, tmp_path)
    vault.add(KEY, build([OLD], [ATTESTATION]))
    return vault


def imported(folder: Path, file: Path, *options: object, answer: str = "y\n") -> Result:
    create_key_file(folder / "key", bytes(range(32)))
    names = ("--vault", VAULT, "--attestation", ATTESTATION, "--key", folder / "key")
    return csum("key", "import", "--for", file, *names, *options, answer=answer)


def test_another_attestation_service_is_approved_only_by_its_name(vault: FakeVault, tmp_path: Path) -> None:
    file = resource_file(tmp_path, **asking(attestation=MALLORYS_SERVICE))

    refused = approve(file, answer="y\n")
    assert refused.code == 6
    assert f"--add-authority {MALLORYS_SERVICE}" in refused.err
    assert vault.calls == []

    assert approve(file, "--add-authority", MALLORYS_SERVICE, answer="y\n").code == 0


def test_a_key_that_was_approved_in_one_vault_is_not_approved_in_another(vault: FakeVault, tmp_path: Path) -> None:
    assert approve(resource_file(tmp_path), answer="y\n").code == 0
    vault.host = MALLORYS_VAULT

    moved = resource_file(tmp_path, **asking(vault=MALLORYS_VAULT))
    refused = approve(moved, answer="y\n")

    assert refused.code == 6
    assert f"--vault {MALLORYS_VAULT}" in refused.err
    assert approve(moved, "--vault", VAULT, answer="y\n").code == 6
    assert vault.calls == [f"update {KEY}"]


@pytest.mark.parametrize("before", ["an approval", "nothing"])
def test_another_key_in_the_admins_vault_is_not_approved(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """The key there believes the admin's service, which could then vouch to the owner for any page and any result."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    if before == "an approval":
        assert approve(resource_file(tmp_path), "--vault", VAULT, answer="y\n").code == 0
    vault.host = MALLORYS_VAULT
    vault.add("contracts-key-2", build([OLD], [MALLORYS_SERVICE]))
    theirs = asking(name="contracts-key-2", vault=MALLORYS_VAULT, attestation=MALLORYS_SERVICE)

    refused = approve(resource_file(tmp_path, **theirs), answer="y\n")

    assert refused.code == 6
    assert f"--vault {MALLORYS_VAULT}" in refused.err
    assert MALLORYS_SERVICE not in {one.attestation for one in Approvals().of("legal/contracts")}


@pytest.mark.parametrize("change", [asking(vault=MALLORYS_VAULT), asking(attestation=MALLORYS_SERVICE)])
def test_key_material_goes_only_to_the_vault_and_under_the_service_that_the_owner_named(
    change: dict[str, Any], vault: FakeVault, tmp_path: Path
) -> None:
    result = imported(tmp_path, resource_file(tmp_path, **change), "--new-version")

    assert result.code == 6
    assert "nothing was done" in result.err
    assert vault.material == {}


def test_an_import_takes_neither_vault_nor_attestation_service_from_the_resource(
    vault: FakeVault, tmp_path: Path
) -> None:
    create_key_file(tmp_path / "key", bytes(range(32)))

    result = csum("key", "import", "--key", tmp_path / "key", "--for", resource_file(tmp_path), answer="y\n")

    assert result.code == 2
    assert vault.material == {}


def test_a_policy_that_lets_the_admin_look_in_gets_the_key_only_by_an_option(vault: FakeVault, tmp_path: Path) -> None:
    file = resource_file(tmp_path, **DEBUG)
    known = ("--yes", "--expect-host-data", host_data(file))

    for refused in (approve(file, *known), imported(tmp_path, file, "--new-version", *known)):
        assert refused.code == 6
        assert "--allow-debug" in refused.err
    assert vault.calls == []
    assert approve(file, *known, "--allow-debug").code == 0


@pytest.mark.parametrize("spelled", ["contracts-key", "Contracts-KEY"])
def test_what_an_owners_key_opens_is_not_opened_once_more_for_somebody_elses_results(
    vault: FakeVault, tmp_path: Path, spelled: str
) -> None:
    """The owner looks at what becomes of their file system; the admin mounts it a second time, with a recipient."""
    (owners,) = spec()["fileSystems"]
    stolen = owners | {
        "name": "archive",
        "key": owners["key"] | {"name": spelled},
        "contentSHA256": "a" * 64,
        "output": {
            "blobPrefix": "https://party2.blob.core.windows.net/elsewhere/archive/",
            "recipient": str(pyrage.x25519.Identity.generate().to_public()),
        },
    }
    file = resource_file(tmp_path, fileSystems=[owners, stolen])
    refused = approve(file, "--file-system", "documents", answer="y\n")
    assert refused.code == 3
    assert "need different keys" in refused.err
    assert vault.calls == []


def test_another_key_is_not_replaced_under_its_name(vault: FakeVault, tmp_path: Path) -> None:
    assert approve(resource_file(tmp_path), answer="y\n").code == 0
    approved = host_data(resource_file(tmp_path))

    refused = imported(tmp_path, resource_file(tmp_path))

    assert refused.code == 1
    assert f"{approved[:12]}… (legal/contracts)" in refused.err
    assert f"{OLD[:12]}… (not of this machine)" in refused.err
    assert vault.material == {}


def test_the_cluster_cannot_give_another_resource_than_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        async def get(self, *_names: object) -> dict[str, Any]:
            return document()

    @asynccontextmanager
    async def connect():
        yield Cluster()

    monkeypatch.setattr(client, "connect", connect)

    with pytest.raises(IntegrityError, match="asked for legal/leases and gave legal/contracts"):
        asyncio.run(resources.find_resource("legal/leases"))


def test_an_old_sidecar_and_one_that_nobody_released_are_not_approved_without_a_word(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the keys and opens the file systems. Its digest was in the policy, and was compared with nothing."""
    file = resource_file(tmp_path)
    (sidecar,) = (measured(one, layer="1") for name, one in image_references(resource()).items() if name == ENCFS)
    listed = ReleasedImage("1.0.0", ENCFS, sidecar.image.digest, ("1" * 64,))
    newer = replace(listed, version="1.1.0", digest=f"sha256:{'7' * 64}")

    def said(*images: ReleasedImage) -> str:
        monkeypatch.setattr(released, "released_images", lambda: images)
        return approve(file, answer="n\n").err

    assert "Warning: UNKNOWN sidecar" in said()
    assert "Warning: UNKNOWN sidecar" in said(newer)
    assert "Warning: UNKNOWN sidecar" in said(replace(listed, layers=("2" * 64,)))
    assert "Warning: OLD sidecar" in said(listed, newer)
    assert "of release 1.0.0, and release 1.1.0 came with another" in said(listed, newer)
    known = said(newer, listed)
    assert "the sidecar of release 1.0.0" in known
    assert "sidecar:" not in known
    refused = approve(file, "--expect-image", f"{ENCFS}={newer.digest}", answer="y\n")
    assert (refused.code, vault.calls) == (1, [])
    assert f"the image of {ENCFS} is not the expected {newer.digest}" in refused.err


# What a running group is compared with


def verified(page: Page, file: Path, monkeypatch: pytest.MonkeyPatch, *options: object) -> Result:
    """Run `csum verify` of a page on behalf of a resource; its attestation service is whatever it was said to be."""

    class Service:
        def __init__(self, host: str) -> None:
            self.host = host

        async def __aenter__(self) -> "Service":
            return self

        async def __aexit__(self, *_error: object) -> None:
            pass

        async def signing_keys(self) -> str:
            return self.host

    keys = {ATTESTATION: page.attested.keys}
    monkeypatch.setattr(question, "AttestationService", Service)
    monkeypatch.setattr(question, "signing_keys", lambda host: keys.get(host, page.attested.keys))
    with served(page) as url:
        return csum("verify", url, "--resource", file, "-o", "json", *options)


def failed(result: Result) -> list[str]:
    return [check["name"] for check in result.data["checks"] if not check["passed"]]


def group_of(file: Path, *options: object, **claims: Any) -> Page:
    """Return the page of a group that runs what the file says at this time."""
    return Page(**{"x-ms-sevsnpvm-hostdata": host_data(file, *options), **claims})


def test_an_approval_says_who_reads_and_whose_containers_may_run_beside(vault: FakeVault, tmp_path: Path) -> None:
    token = "ab" * 32
    opened = approve(resource_file(tmp_path), "--full", answer="n\n").err
    closed = approve(resource_file(tmp_path, access={"tokenSHA256": token}), answer="n\n").err

    assert "Summaries go to ANYBODY who reaches the page." in opened
    assert "More containers and fragments may come from mcr.microsoft.com/aci/aci-cc-infra-fragment" in opened
    assert f"Summaries go to who has the token with SHA-256 {token}." in closed


@pytest.mark.parametrize(
    ("by", "part"), [("Document", "its part of all documents"), ("FileSystem", "the documents of one file system")]
)
def test_an_approval_of_a_batch_says_that_there_is_no_page_and_what_a_shard_is(
    vault: FakeVault, tmp_path: Path, by: str, part: str
) -> None:
    file = resource_file(tmp_path, fileSystems=DOCUMENTS, batch={"shards": 1, "shardBy": by})
    said = approve(file, "--full", answer="n\n").err
    assert f"there is no page: each of 1 shards summarizes {part} once, and ends." in said
    assert "reaches the page" not in said


def test_a_cluster_that_agrees_with_itself_is_not_verified(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = resource_file(tmp_path)

    result = verified(group_of(file), file, monkeypatch)

    assert (result.code, failed(result), result.data["verified"]) == (4, [], False)
    assert "compares the cluster with itself" in result.err


def test_an_attackers_attestation_service_and_a_debug_policy_do_not_even_agree_with_themselves(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = resource_file(tmp_path, **DEBUG, **asking(attestation=MALLORYS_SERVICE))
    page = group_of(file, "--add-authority", MALLORYS_SERVICE, iss=f"https://{MALLORYS_SERVICE}")

    result = verified(page, file, monkeypatch)

    assert (result.code, failed(result)) == (1, ["Policy closed"])


def test_a_group_is_compared_with_what_was_approved_and_not_with_what_the_resource_says_now(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = resource_file(tmp_path)
    assert approve(file, answer="y\n").code == 0
    approved = group_of(file)
    assert verified(approved, file, monkeypatch).code == 0

    file = resource_file(tmp_path, **asking(attestation=MALLORYS_SERVICE), summarizer={"maxWords": 1000})
    changed = group_of(file, "--add-authority", MALLORYS_SERVICE, iss=f"https://{MALLORYS_SERVICE}")
    result = verified(changed, file, monkeypatch)

    assert result.code == 1
    assert {"Issuer", "Host-data"} <= set(failed(result))
    assert verified(approved, file, monkeypatch).code == 0


def test_a_revoked_policy_is_no_longer_what_a_group_has_to_be(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = resource_file(tmp_path)
    assert approve(file, answer="y\n").code == 0
    assert csum("key", "revoke", KEY, "--vault", VAULT, "--host-data", host_data(file)).code == 0

    assert verified(group_of(file), file, monkeypatch).code == 4


def test_nor_where_another_key_of_the_resource_was_approved_for_it_as_well(vault: FakeVault, tmp_path: Path) -> None:
    """The owner of documents and models takes the documents back from a policy; its page asked for the token still."""
    (documents,) = spec()["fileSystems"]
    models = documents | {
        "name": "models", "role": "Models", "contentSHA256": "d" * 64, "key": documents["key"] | {"name": "models-key"}
    }  # fmt: skip
    file = resource_file(tmp_path, fileSystems=[documents, models])
    vault.add("models-key", build([OLD], [ATTESTATION]))
    for name in ("documents", "models"):
        assert approve(file, "--file-system", name, answer="y\n").code == 0
    assert csum("key", "revoke", KEY, "--vault", VAULT, "--host-data", host_data(file)).code == 0

    assert Approvals().of("legal/contracts") == ()


def test_a_page_is_not_opened_where_nothing_was_approved(vault: FakeVault, tmp_path: Path) -> None:
    file = resource_file(tmp_path)

    result = csum("open", "https://127.0.0.1:9", "--resource", file, "--get", "/api/summaries")

    assert result.code == 4
    assert "nothing was approved" in result.err
