"""The record of what a data owner approved: nothing of it is lost when several commands write at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confidential_summarizer.cli.approvals import Approval, Approvals, now


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
