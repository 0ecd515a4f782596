"""A contract is one row, and exists everywhere or nowhere."""

from typing import get_args

import pytest
from click.testing import CliRunner

from confidential_summarizer.api.spec import PolicySpec
from confidential_summarizer.cli.policy import policy, settings_of
from confidential_summarizer.policy.contracts import CONTRACTS, DEFAULT_CONTRACT, Contract, contract_of
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import render
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from tests.support.policy_scenarios import IMAGES, POD

EACH = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def test_the_resource_and_the_command_line_offer_every_contract_and_the_same_default() -> None:
    field = PolicySpec.model_fields["contract"]
    assert (set(get_args(field.annotation)), field.default) == (set(CONTRACTS), DEFAULT_CONTRACT)
    shown = CliRunner().invoke(policy, ["generate", "--help"]).output
    assert f"[{'|'.join(CONTRACTS)}]" in shown


@EACH
def test_what_is_written_in_a_contract_is_read_back_as_of_that_contract(contract: Contract) -> None:
    text = virtual_node_policy(POD, IMAGES, PolicySettings(contract=contract)).text
    document = parse_policy(text)
    assert render(document).text == text
    assert settings_of(document).contract is contract_of(document.api_version) is contract
    assert document.framework_version == contract.framework_version
    assert document.rules == contract.rules


@EACH
def test_containers_may_be_stopped_as_the_contract_says(contract: Contract) -> None:
    document = parse_policy(virtual_node_policy(POD, IMAGES, PolicySettings(contract=contract)).text)
    assert {container.signals[: len(contract.stop_signals)] for container in document.containers} == {
        contract.stop_signals
    }


def test_the_announced_contract_says_that_the_host_network_is_closed() -> None:
    text = virtual_node_policy(POD, IMAGES, PolicySettings(contract=CONTRACTS["0.12"])).text
    assert "allow_capability_dropping := true\nallow_host_network := false\n" in text
    assert "rw_mount_device := data.framework.rw_mount_device\nhost_network := data.framework.host_network\n" in text
    assert "allow_host_network" not in virtual_node_policy(POD, IMAGES, PolicySettings()).text


def test_a_version_that_nobody_wrote_is_no_contract() -> None:
    assert contract_of("9.0.0") is None
