"""The data owner's `csum key` with a vault in this process, and images that need no registry."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.cli import resources
from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.cli.key import vault as key_vault
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.target import Derivation
from tests.support.data_owner import Result, csum
from tests.support.fakes import FakeVault, measured
from tests.support.resources import ATTESTATION, VAULT, document

KEY = "contracts-key"
"""The key that the resource of `tests.support.resources` asks for."""


@asynccontextmanager
async def no_identity():
    yield None


def vault_in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeVault:
    """Put the owner's vault into this process, and the record of approvals below `tmp_path`: they used it before."""
    vault = FakeVault()
    monkeypatch.setattr(key_vault, "credential", no_identity)
    monkeypatch.setattr(key_vault, "KeyVault", lambda host, _identity, retries: vault.opened(host))
    monkeypatch.setattr(resources, "derive_from_registry", derived_with("1"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Approvals().record(Approval("legal/mails", VAULT, "mails-key", ATTESTATION, "1e" * 32, "", {}, now()))
    return vault


def derived_with(layer: str) -> Callable[..., Any]:
    """Stand in for the registry: every image has one layer with this hash."""

    async def work(resource: ConfidentialSummarizer, *, token_sha256: str | None = None) -> Derivation:
        references = image_references(resource).items()
        images = {name: measured(reference, layer=layer) for name, reference in references}
        return derive(resource, images, token_sha256=token_sha256)

    return work


def resource_file(tmp_path: Path, **changes: Any) -> Path:
    """Write a resource, changed as `tests.support.resources.document` does."""
    file = tmp_path / "contracts.yaml"
    file.write_text(yaml.safe_dump(document(**changes)), encoding="utf-8")
    return file


def approve(file: Path, *options: object, answer: str = "") -> Result:
    """Run `csum key approve`."""
    return csum("key", "approve", file, *options, "-o", "json", answer=answer)


def host_data(file: Path, *options: object) -> str:
    """What the command itself says, of which the owner may have heard elsewhere."""
    shown = approve(file, *options, answer="n\n")
    return next(line.split()[1] for line in shown.err.splitlines() if line.startswith("host-data "))
