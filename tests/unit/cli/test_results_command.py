"""`csum results` on the owner's machine: whose results count, and keys. What comes from storage: tests/component."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.cli.expectation import Expected
from confidential_summarizer.cli.results import read_identities
from confidential_summarizer.errors import SealingError
from tests.support.approving import derived_with
from tests.support.data_owner import csum
from tests.support.resources import ATTESTATION, VAULT, resource


def approved(home: Path, *profiles: str) -> Expected:
    for profile in profiles:
        derived = asyncio.run(derived_with("1")(resource(policy={"profile": profile})))
        policy = derived.policy
        Approvals(home).record(
            Approval("legal/contracts", VAULT, "k", ATTESTATION, policy.host_data, policy.text, {}, now())
        )
    return Expected.approved("legal/contracts", Approvals(home))


def test_results_of_a_policy_that_lets_the_host_look_in_do_not_count(tmp_path: Path) -> None:
    """Whoever runs such a group can take its key, and sign what they like."""
    both = approved(tmp_path, "Restricted", "Debug")
    assert len(both.host_data) == 2
    (closed,) = both.closed().host_data
    assert closed == both.host_data[0]


def test_where_only_such_a_policy_was_approved_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    approved(tmp_path, "Debug")
    key = tmp_path / "key"
    assert csum("results", "new-key", key).code == 0

    refused = csum("results", "fetch", "legal/contracts", "--identity", key, "--out", tmp_path / "out")

    assert refused.code == 3
    assert "lets the host look into the group" in refused.err


def test_a_new_key_file_is_private_and_read_by_age_and_by_us(tmp_path: Path) -> None:
    made = csum("results", "new-key", tmp_path / "key", "-o", "json")
    (identity,) = read_identities(tmp_path / "key")
    assert str(identity.to_public()) == made.data["recipient"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert str(identity) not in made.out + made.err
    assert csum("results", "new-key", tmp_path / "key").code == 3


def test_a_file_without_a_key_is_said_without_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("planted-secret\n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SealingError) as refused:
        read_identities(tmp_path / "key")
    assert "holds no AGE-SECRET-KEY-1" in str(refused.value)
    assert "planted" not in str(refused.value)
    (tmp_path / "key").write_text(f"# a comment\n{pyrage.x25519.Identity.generate()}\n")
    assert len(read_identities(tmp_path / "key")) == 1


def test_a_hash_that_was_approved_under_another_attestation_service_is_judged_by_its_policy_too(tmp_path: Path) -> None:
    """Only one service can be asked, but what a policy allows does not depend on it."""
    opened, closed = approved(tmp_path, "Debug", "Restricted").host_data
    record = Approvals(tmp_path)
    (first,) = (one for one in record.all() if one.host_data == opened)
    record.record(replace(first, attestation="sharedneu.neu.attest.azure.net"))
    record.record(next(one for one in record.all() if one.host_data == closed))
    assert Expected.hashes([opened, closed], record).closed().host_data == (closed,)
