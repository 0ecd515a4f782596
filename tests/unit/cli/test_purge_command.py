"""`csum purge`: what storage and the vault keep back all the same, in a receipt with their own codes."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from confidential_summarizer.azure.blobs import BlobState, OtherState
from confidential_summarizer.azure.conversion import converted
from confidential_summarizer.cli import purge
from confidential_summarizer.release import build
from confidential_summarizer.sealing import LUKS_MAGIC
from tests.support.approving import no_identity
from tests.support.data_owner import csum
from tests.support.fakes import FakeVault
from tests.support.resources import ATTESTATION, VAULT

URL = "https://party2.blob.core.windows.net/sealed/contracts.img"
STATE = BlobState(URL, 4096, None, None, "0x1", datetime(2026, 1, 2, tzinfo=UTC))


class Storage:
    """A blob whose storage does more than Azurite: versions, soft delete, retention, missing rights."""

    def __init__(self, *others: OtherState, keeps: bool = False, **refusals: tuple[int, str]) -> None:
        self.url, self.others, self.keeps, self.refusals = URL, list(others), keeps, refusals
        self.present: BlobState | None = STATE
        self.magic = LUKS_MAGIC

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        with converted(f"Blob {URL}"):
            if what in self.refusals:
                status, code = self.refusals[what]
                error = HttpResponseError(code)
                error.status_code, error.error_code = status, code  # type: ignore[attr-defined]
                raise error
            yield

    async def state(self) -> BlobState | None:
        return self.present

    async def head(self, _length: int) -> bytes:
        return self.magic

    async def other_states(self) -> list[OtherState]:
        with self.asked("list"):
            return list(self.others)

    async def delete(self) -> None:
        with self.asked("delete"):
            self.present = None
            if self.keeps:
                self.others.append(OtherState(deleted=True, days=7))

    async def delete_version(self, version: str) -> None:
        with self.asked("version"):
            self.others = [one for one in self.others if one.version != version]
            if self.keeps:
                self.others.append(OtherState(version=version, deleted=True, days=7))


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeVault:
    vault = FakeVault()
    vault.add("contracts-key", build(["ff" * 32], [ATTESTATION]))
    monkeypatch.setattr(purge, "credential", no_identity)
    monkeypatch.setattr(purge, "KeyVault", lambda _host, _identity, retries: vault.opened(VAULT))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return vault


@pytest.fixture
def erase(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def erase(storage: Storage, *options: object) -> Any:
        @asynccontextmanager
        async def opened(_url: object, _key: object):
            yield storage

        monkeypatch.setattr(purge, "open_blob", opened)
        return csum("purge", URL, *options, "--yes", "--receipt", tmp_path / "receipt", "-o", "json")

    return erase


def told(result: Any) -> list[tuple[str, bool, str]]:
    return [(step["what"], step["done"], step["code"]) for step in result.data["steps"]]


def test_versions_of_the_blob_go_with_it(erase: Any) -> None:
    storage = Storage(OtherState(version="1"), OtherState(version="2"))
    result = erase(storage)
    assert result.code == 0, result.err
    assert told(result) == [
        (f"blob {URL} deleted with its snapshots", True, ""),
        ("version 1 of the blob deleted", True, ""),
        ("version 2 of the blob deleted", True, ""),
    ]
    assert storage.others == []


def test_what_soft_delete_keeps_is_not_called_erased(erase: Any) -> None:
    result = erase(Storage(OtherState(version="1"), keeps=True))
    assert (result.code, result.data["erased"]) == (1, False)
    left = [step for step in result.data["steps"] if not step["done"]]
    assert [step["what"] for step in left] == [
        "present state of the blob gone for good",
        "version 1 of the blob gone for good",
    ]
    assert "soft delete of the account keeps it for 7 more days" in left[0]["detail"]
    assert result.data["statement"][0].endswith("NOT all is erased: what is left is named below.")


@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"])
def test_a_blob_under_retention_is_left_and_its_key_goes_all_the_same(erase: Any, vault: FakeVault, code: str) -> None:
    result = erase(Storage(delete=(409, code)), "--key", "contracts-key", "--vault", VAULT)
    assert result.code == 1
    assert vault.calls == ["disable contracts-key", "delete contracts-key", "purge contracts-key"]
    assert told(result)[-1] == (f"blob {URL} deleted with its snapshots", False, code)
    assert "whoever set it has to end it" in result.data["steps"][-1]["detail"]


@pytest.mark.parametrize(
    ("call", "what"), [("list", "snapshots and versions looked for"), ("version", "version 1 of the blob deleted")]
)
def test_missing_rights_are_named_by_the_services_code(erase: Any, call: str, what: str) -> None:
    result = erase(Storage(OtherState(version="1"), **{call: (403, "AuthorizationPermissionMismatch")}))
    assert result.code == 1
    assert told(result)[-1] == (what, False, "AuthorizationPermissionMismatch")


def test_a_key_that_an_operator_manages_is_refused_with_the_blob(erase: Any, vault: FakeVault) -> None:
    vault.add("contracts-key", None, tags={"csum-owner-uid-1": "legal/contracts ns-uid"})
    storage = Storage()
    result = erase(storage, "--key", "contracts-key", "--vault", VAULT)
    assert result.code == 3
    assert "managed by the operator of legal/contracts" in result.err
    assert (vault.calls, storage.present) == ([], STATE)


def test_an_interruption_leaves_a_receipt_of_what_is_gone(erase: Any, vault: FakeVault, tmp_path: Path) -> None:
    """What was erased before stays erased, and its owner has to know."""

    class Interrupted(Storage):
        async def delete(self) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        erase(Interrupted(), "--key", "contracts-key", "--vault", VAULT)
    receipt = json.loads((tmp_path / "receipt").read_text())
    assert receipt["erased"] is False
    assert receipt["statement"][0].endswith("Interrupted: what is not named below was not tried.")
    assert receipt["steps"][-1]["what"] == f"key contracts-key of {VAULT} purged"
