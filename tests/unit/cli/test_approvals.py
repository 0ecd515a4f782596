"""The record of what a data owner approved: nothing of it is lost when several commands write at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from confidential_summarizer.cli import approvals
from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.errors import SpecError


def approval(number: int) -> Approval:
    return Approval(f"legal/contracts-{number}", "party2.vault.azure.net", "key", "attest", "ab" * 32, "", {}, now())


def test_commands_that_approve_at_once_keep_each_others_records(tmp_path: Path) -> None:
    """As `xargs -P` over the resources of a team starts them."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: Approvals(tmp_path).record(approval(number)), range(100)))
    assert {one.resource for one in Approvals(tmp_path).all()} == {approval(number).resource for number in range(100)}


def test_a_revocation_beside_approvals_removes_its_own_and_nothing_else(tmp_path: Path) -> None:
    gone = Approval("legal/gone", "party2.vault.azure.net", "old", "attest", "cd" * 32, "", {}, now())
    Approvals(tmp_path).record(gone)
    with ThreadPoolExecutor(16) as pool:
        recorded = pool.map(lambda number: Approvals(tmp_path).record(approval(number)), range(50))
        forgotten = pool.submit(Approvals(tmp_path).forget, gone.vault, gone.key, gone.host_data)
        list(recorded)
        forgotten.result()
    assert {one.resource for one in Approvals(tmp_path).all()} == {approval(number).resource for number in range(50)}


ONE, TWO = approval(1), approval(2)


def test_approvals_are_found_by_resource_and_key_the_latest_last_and_each_policy_once(tmp_path: Path) -> None:
    other_key, other_policy, other_vault = (
        replace(ONE, **change) for change in ({"key": "other"}, {"host_data": "cd" * 32}, {"vault": "other"})
    )
    again = replace(ONE, time="later", images={"summarizer": "party1.azurecr.io/s@sha256:ab"}, policy="ä")
    record = Approvals(tmp_path)
    assert record.of(ONE.resource) == ()
    for one in (TWO, ONE, other_key, other_policy, other_vault, again):
        record.record(one)
    assert record.all() == (TWO, other_key, other_policy, other_vault, again)
    assert record.of(ONE.resource) == (other_key, other_policy, other_vault, again)
    assert record.of(ONE.resource, "other") == (other_key,)


def test_a_policy_that_one_key_no_longer_opens_for_is_forgotten_for_each_key_of_its_resource(tmp_path: Path) -> None:
    """The groups of a resource need each of its keys, so no group of that policy runs."""
    second = replace(ONE, key="second", vault="v2")
    stays = (replace(ONE, host_data="cd" * 32), replace(ONE, resource="legal/other", key="third"))
    record = Approvals(tmp_path)
    for one in (ONE, second, *stays):
        record.record(one)
    for nobodys in (
        ("other", ONE.key, ONE.host_data),
        (ONE.vault, "other", ONE.host_data),
        (ONE.vault, ONE.key, "other"),
    ):
        record.forget(*nobodys)
    assert record.all() == (ONE, second, *stays)
    record.forget(ONE.vault, ONE.key, ONE.host_data)
    assert record.all() == stays


def test_to_forget_what_was_never_recorded_leaves_no_trace(tmp_path: Path) -> None:
    Approvals(tmp_path).forget(ONE.vault, ONE.key, ONE.host_data)
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_an_approval_means_the_same_in_each_zone() -> None:
    assert datetime.fromisoformat(now()).utcoffset() == timedelta()


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "7", '[{"resource": "legal/contracts"}]', '[{"other": 1}]', "\udcff"]
)
def test_a_damaged_record_is_named_and_not_written_over(tmp_path: Path, content: str) -> None:
    file = tmp_path / "confidential-summarizer" / "approvals.json"
    file.parent.mkdir()
    file.write_text(content, errors="surrogateescape")
    for ask in Approvals(tmp_path).all, lambda: Approvals(tmp_path).record(ONE):
        with pytest.raises(SpecError, match="the record of approvals is damaged"):
            ask()
    assert file.read_text(errors="surrogateescape") == content


def test_a_command_waits_for_its_turn_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "TURN_SECONDS", 0.01)
    Approvals(tmp_path).record(ONE)
    with FileLock(tmp_path / "confidential-summarizer" / "approvals.lock"):
        for change in (lambda: Approvals(tmp_path).record(TWO)), lambda: Approvals(tmp_path).forget("", "", ""):
            with pytest.raises(SpecError, match="another csum has held"):
                change()
    assert Approvals(tmp_path).all() == (ONE,)


@pytest.mark.parametrize(("state", "folder"), [("", "home/.local/state"), ("state", "state")])
def test_the_record_stands_in_the_user_s_folder_of_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, folder: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", state and str(tmp_path / state))
    Approvals().record(ONE)
    assert (tmp_path / folder / "confidential-summarizer" / "approvals.json").exists()
