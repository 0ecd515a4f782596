"""Our policies before Microsoft's own engine: the intended start goes through, and each departure is refused for its reason."""

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from confidential_summarizer.blueprint import SUMMARIZER, SUMMARIZER_CAPABILITIES, image_references
from confidential_summarizer.policy.capabilities import PRIVILEGED
from confidential_summarizer.policy.denial import find_denial
from confidential_summarizer.policy.document import Capabilities, Policy
from confidential_summarizer.targets.derive import derive
from tests.support.fakes import measured
from tests.support.policy_scenarios import (
    WITH_EXTRA_ENV,
    Scenario,
    create,
    intended,
    newer_scenarios,
    policy,
    prepared,
    rules,
    scenarios,
)
from tests.support.resources import resource

pytestmark = pytest.mark.oracle

DECISIONS = yaml.safe_load((Path(__file__).parents[1] / "data" / "policy" / "decisions.yaml").read_text())
ALLOWED = "everything is allowed"
CONTAINER_GROUP = {
    "containerGroup": {
        "subscriptionID": "00000000-0000-0000-0000-000000000001",
        "resourceGroup": "rg",
        "location": "westeurope",
        "subnetIDs": ["/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"],
    }
}


def answers(guestpolicy: Path, scenario: Scenario) -> list[dict[str, Any]]:
    """What the engine answers to each request; the first line opens it."""
    requests = [json.dumps({"point": command.point, "input": dict(command.input)}) for command in scenario.commands]
    lines = "\n".join([base64.b64encode(scenario.policy.text.encode()).decode(), *requests])
    done = subprocess.run([guestpolicy], input=f"{lines}\n", capture_output=True, text=True, check=True)
    opened, *found = (json.loads(line) for line in done.stdout.splitlines())
    assert opened["allowed"], opened
    return found


def reasons(answer: dict[str, Any]) -> list[str]:
    """Why a request is refused, as users get to see it."""
    denial = find_denial(answer["error"])
    assert denial is not None, answer
    return list(denial.errors)


@pytest.mark.parametrize("scenario", [*scenarios(), *newer_scenarios()], ids=lambda item: item.name)
def test_the_engine_refuses_what_is_listed_and_allows_everything_else(guestpolicy: Path, scenario: Scenario) -> None:
    numbered = enumerate(zip(scenario.commands, answers(guestpolicy, scenario), strict=True), start=1)
    refused = {
        f"{number}: {command.point}": reasons(answer) for number, (command, answer) in numbered if not answer["allowed"]
    }
    assert (refused or ALLOWED) == DECISIONS[scenario.name]


def test_every_listed_scenario_is_tried() -> None:
    assert set(DECISIONS) == {scenario.name for scenario in (*scenarios(), *newer_scenarios())}


def start(text: Policy, *, extra: bool = False) -> Scenario:
    container = rules(text, "app")
    asked = intended(container, "app")
    return Scenario("start", text, (*prepared(container, "app"), create(WITH_EXTRA_ENV(asked) if extra else asked)))


def test_an_unknown_variable_never_reaches_the_container(guestpolicy: Path) -> None:
    kept = answers(guestpolicy, start(policy(), extra=True))[-1]["env"]
    assert "MODE=strict" in kept
    assert not any("LD_PRELOAD" in variable for variable in kept)


def test_of_the_platforms_variables_only_whole_ones_reach_the_container_and_none_that_could_be_its_own(
    guestpolicy: Path,
) -> None:
    text = policy(closed_patterns=True)
    container = rules(text, "app")
    asked = intended(container, "app")
    sent = {
        "HOSTNAME=h": True,
        "Fabric_NodeIPOrFQDN=10.0.0.4": True,
        "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1": True,
        "APP_PORT=1": False,
        "LD_PRELOAD=/x.so:HOSTNAME=y": False,
    }
    command = create(replace(asked, env=(*asked.env, *sent)))

    kept = answers(guestpolicy, Scenario("closed", text, (*prepared(container, "app"), command)))[-1]["env"]

    assert {variable: variable in kept for variable in sent} == sent


@pytest.mark.parametrize("target", [{}, {"target": CONTAINER_GROUP}], ids=["virtual node", "container group"])
def test_whatever_rights_a_host_asks_for_the_summarizer_starts_with_those_of_its_policy_or_not_at_all(
    guestpolicy: Path, target: dict[str, Any]
) -> None:
    """Before, it started with Docker's fourteen capabilities, and could gain more by a program."""
    summarizer = resource(**target)
    references = image_references(summarizer)
    images = {name: measured(reference, layer="12"[name == SUMMARIZER]) for name, reference in references.items()}
    text = derive(summarizer, images).policy
    container = rules(text, SUMMARIZER)
    asked = replace(intended(container, SUMMARIZER), no_new_privileges=True)

    def answer(**changes: Any) -> dict[str, Any]:
        commands = (*prepared(container, SUMMARIZER), create(replace(asked, **changes)))
        return answers(guestpolicy, Scenario("rights", text, commands))[-1]

    few = sorted(SUMMARIZER_CAPABILITIES)
    expected = {"bounding": few, "effective": few, "permitted": few, "inheritable": [], "ambient": []}
    everything = Capabilities(PRIVILEGED, PRIVILEGED, PRIVILEGED, PRIVILEGED, PRIVILEGED)
    exactly = Capabilities((), tuple(few), tuple(few), (), tuple(few))
    for given in (asked.capabilities, everything, exactly):
        found = answer(capabilities=given)
        assert found["allowed"], found
        assert {name: sorted(names) for name, names in found["capabilities"].items()} == expected
    for departure, reason in (
        ({"no_new_privileges": False}, "invalid noNewPrivileges"),
        ({"privileged": True}, "privileged escalation not allowed"),
        ({"capabilities": replace(exactly, effective=(few[0],))}, "capabilities don't match"),
    ):
        assert reason in reasons(answer(**departure))


@pytest.mark.parametrize("shown", [True, False])
def test_a_container_shows_its_output_only_where_the_policy_says_so(guestpolicy: Path, shown: bool) -> None:
    assert answers(guestpolicy, start(policy(allow_stdio_access=shown)))[-1]["allow_stdio"] is shown


def test_a_policy_for_a_newer_framework_starts_nothing(guestpolicy: Path) -> None:
    text = Policy(policy().text.replace('framework_version := "0.2.3"', 'framework_version := "0.9.0"'))
    *_, overlay, created = answers(guestpolicy, Scenario("newer", text, start(policy()).commands))
    for answer in (overlay, created):
        assert any("ahead of the current version" in reason for reason in reasons(answer))


def test_a_refusal_reads_back_from_its_text_without_values_of_variables(guestpolicy: Path) -> None:
    container = rules(policy(), "app")
    asked = replace(intended(container, "app"), command=("x" * 4000,))
    answer = answers(guestpolicy, Scenario("long", policy(), (*prepared(container, "app"), create(asked))))[-1]
    denial = find_denial(f"guest RPC failure: container creation denied due to policy: {answer['error']}: unknown")
    assert denial is not None
    assert denial.errors == ("invalid command",)
    assert denial.truncated
    assert "strict" not in str(denial.input)
