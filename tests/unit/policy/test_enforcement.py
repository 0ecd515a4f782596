"""What the guest lets through; agreement with the real engine is in tests/oracle."""

import pytest

from confidential_summarizer.policy.denial import find_denial
from confidential_summarizer.policy.document import IdentityRule
from confidential_summarizer.policy.enforcement import Enforcer, Identity
from confidential_summarizer.policy.matching import compile_pattern, identity_matches, pattern_matches
from confidential_summarizer.policy.parsing import parse_policy
from tests.support.policy_scenarios import (
    CHANGES,
    START,
    Scenario,
    create,
    execute,
    intended,
    ours,
    policy,
    prepared,
    rules,
)

REFUSED = {
    "another command": "invalid command",
    "an extra mount": "invalid mount list: /etc/shadow",
    "privilege": "privileged escalation not allowed",
    "another user": "invalid user",
    "another directory": "invalid working directory",
    "a device": "devices not supported",
    "new privileges": "invalid noNewPrivileges",
    "another seccomp profile": "invalid seccomp",
    "fewer capabilities": "capabilities don't match",
}


def start(change: str, name: str = "app", **settings: object) -> Scenario:
    text = policy(**settings)
    container = rules(text, name)
    return Scenario(change, text, (*prepared(container, name), create(CHANGES[change](intended(container, name)))))


@pytest.mark.parametrize("name", ["app", "encfs"])
def test_the_intended_start_goes_through(name: str) -> None:
    assert [decision.allowed for decision in ours(start("nothing", name))][-1]


@pytest.mark.parametrize("change", REFUSED)
def test_a_departure_is_refused_with_its_reason(change: str) -> None:
    decision = ours(start(change))[-1]
    assert not decision.allowed
    assert REFUSED[change] in decision.errors


def test_an_unknown_variable_never_reaches_the_container() -> None:
    dropped = ours(start("an extra variable"))[-1]
    assert dropped.allowed
    assert dropped.env_list is not None
    assert not any("LD_PRELOAD" in variable for variable in dropped.env_list)
    refused = ours(start("an extra variable", drop_unknown_environment=False))[-1]
    assert refused.errors == ("invalid env list: LD_PRELOAD",)


def test_a_missing_variable_is_refused_where_it_is_required() -> None:
    assert ours(start("a missing variable"))[-1].allowed
    refused = ours(start("a missing variable", require_environment=True))[-1]
    assert refused.errors == ("missing required environment variable",)


def test_another_value_is_refused_where_it_is_required() -> None:
    decision = ours(start("another value", "encfs", require_environment=True))[-1]
    assert not decision.allowed
    assert "invalid env list: EncfsSideCarArgs" in decision.errors


def test_a_layer_that_is_not_in_the_policy_cannot_be_mounted() -> None:
    enforcer = Enforcer(parse_policy(policy().text), START)
    assert enforcer.mount_device("/run/mounts/scsi/m0", "9" * 64).errors == ("deviceHash not found",)


def test_layers_of_one_container_cannot_be_joined_in_another_order() -> None:
    container = rules(policy(), "app")
    *mounts, overlay = prepared(container, "app")
    turned = {**overlay.input, "layerPaths": list(reversed(overlay.input["layerPaths"]))}
    scenario = Scenario("turned", policy(), (*mounts, type(overlay)("mount_overlay", turned)))
    assert ours(scenario)[-1].errors == ("no matching containers for overlay",)


def test_no_process_but_the_listed_ones_can_be_started_in_a_container() -> None:
    text = policy()
    container = rules(text, "app")
    asked = intended(container, "app")
    from dataclasses import replace

    shell, probe = (execute(replace(asked, command=command)) for command in (("/bin/sh",), ("/app", "--ready")))
    decisions = ours(Scenario("exec", text, (*prepared(container, "app"), create(asked), shell, probe)))
    assert [decision.allowed for decision in decisions[-2:]] == [False, True]
    assert "invalid command" in decisions[-2].errors


def test_a_container_that_may_show_its_output_says_so() -> None:
    assert ours(start("nothing"))[-1].allow_stdio_access is True
    assert ours(start("nothing", allow_stdio_access=False))[-1].allow_stdio_access is False


def test_a_policy_for_a_newer_framework_denies_everything() -> None:
    document = parse_policy(policy().text.replace('framework_version := "0.2.3"', 'framework_version := "0.9.0"'))
    decision = Enforcer(document, START).mount_device("/run/mounts/scsi/m0", "1" * 64)
    assert not decision.allowed
    assert any("ahead of the current version" in error for error in decision.errors)


def test_a_rule_that_the_policy_lacks_denies() -> None:
    text = policy().text.replace("create_container := data.framework.create_container\n", "")
    enforcer = Enforcer(parse_policy(text), START)
    decision = enforcer.create_container(intended(rules(policy(), "app"), "app"))
    assert decision.errors == ("rule for create_container is missing from policy",)


def test_a_refusal_reads_back_from_its_text_without_values_of_variables() -> None:
    decision = ours(start("another command"))[-1]
    text = f"guest RPC failure: container creation denied due to policy: {decision.denial_text()}: unknown"
    assert len(decision.denial_text()) <= 3072
    found = find_denial(text)
    assert found is not None
    assert found.errors == decision.errors
    assert "strict" not in str(found.input)


def test_a_long_refusal_is_cut_as_the_guest_cuts_it() -> None:
    from dataclasses import replace

    decision = ours(start("another command"))[-1]
    long = replace(decision, input=dict(decision.input) | {"argList": ["x" * 4000]})
    found = find_denial(long.denial_text())
    assert found is not None
    assert (found.truncated, found.errors) == (("input",), decision.errors)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("(?i)(FABRIC)_.+=.+", "fabric_x=1", True),
        ("(?i)(FABRIC)_.+=.+", "xfabric_x=1", False),
        ("A=.+", "A=1\n", False),
        ("A=.*", "A=", True),
        ("A=1", "BA=1", False),
        ("^A=1$", "A=1", True),
        ("A|B=1", "A", True),
        (r"(?=A).*", "A", False),
        (r"\d+", "१२", False),
        ("(", "(", False),
    ],
)  # fmt: skip
def test_expressions_match_whole_texts_and_fail_closed(pattern: str, text: str, fits: bool) -> None:
    assert pattern_matches(pattern, text) == fits


def test_lookaheads_are_not_taken_for_re2() -> None:
    assert compile_pattern("(?=x)y") is None


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (IdentityRule(), True),
        (IdentityRule("7", "id"), True),
        (IdentityRule("8", "id"), False),
        (IdentityRule("app", "name"), True),
        (IdentityRule("a.p", "re2"), True),
        (IdentityRule("a", "re2"), False),
    ],
)
def test_users_match_by_number_name_or_expression(rule: IdentityRule, fits: bool) -> None:
    assert identity_matches(rule, Identity("7", "app")) == fits
