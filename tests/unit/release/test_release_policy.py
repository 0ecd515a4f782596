import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.release import (
    COMPLIANCE_STATUS,
    HOST_DATA,
    IS_DEBUGGABLE,
    MIGRATION_ALLOWED,
    VMPL,
    AuthorityRule,
    Condition,
    ReleasePolicy,
    add_host_data,
    admits,
    build,
    compare,
    evaluate,
    remove_host_data,
    weaknesses,
)
from confidential_summarizer.release.grammar import OPERATORS
from tests.support.attested import FIRMWARE

OLD, NEW = "a" * 64, "b" * 64
WEST, EAST = "sharedweu.weu.attest.azure.net", "sharedeus2.eus2.attest.azure.net"

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)


def claims(host_data: str = OLD, authority: str = WEST, **changes: object) -> dict[str, object]:
    return {
        "iss": f"https://{authority}",
        HOST_DATA: host_data,
        COMPLIANCE_STATUS: "azure-compliant-uvm",
        IS_DEBUGGABLE: False,
        VMPL: 0,
        **FIRMWARE,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }


def test_a_built_policy_asks_for_what_microsofts_tool_writes_and_for_firmware_without_known_holes() -> None:
    assert build([OLD], [WEST]).to_document() == {
        "version": "1.0.0",
        "anyOf": [
            {
                "authority": f"https://{WEST}",
                "allOf": [
                    {"claim": "x-ms-sevsnpvm-hostdata", "equals": OLD},
                    {"claim": "x-ms-compliance-status", "equals": "azure-compliant-uvm"},
                    {"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"},
                    {"claim": "x-ms-sevsnpvm-vmpl", "equals": "0"},
                    {"claim": "x-ms-sevsnpvm-migration-allowed", "equals": "false"},
                    {"claim": "x-ms-sevsnpvm-guestsvn", "greaterOrEquals": 1},
                    {"claim": "x-ms-sevsnpvm-snpfw-svn", "greaterOrEquals": 23},
                    {"claim": "x-ms-sevsnpvm-microcode-svn", "greaterOrEquals": 84},
                ],
            }
        ],
    }


def test_there_is_one_rule_for_each_pair_of_hash_and_authority() -> None:
    policy = build([OLD, NEW], [WEST, f"https://{EAST}/"])

    assert len(policy.rules) == 4
    assert policy.host_data == (OLD, NEW)
    assert policy.authorities == (f"https://{WEST}", f"https://{EAST}")


@pytest.mark.parametrize(("host_data", "authorities"), [([], [WEST]), ([OLD], []), (["zz"], [WEST]), ([OLD], ["a/b"])])
def test_a_policy_that_admits_nothing_or_nonsense_is_refused(host_data: list[str], authorities: list[str]) -> None:
    with pytest.raises(ReleasePolicyError):
        build(host_data, authorities)


@given(st.lists(hashes, min_size=1, max_size=4, unique=True), st.sampled_from([[WEST], [WEST, EAST]]))
def test_parsing_what_was_written_gives_the_same_policy(host_data: list[str], authorities: list[str]) -> None:
    policy = build(host_data, authorities)

    assert ReleasePolicy.parse(policy.to_bytes()) == policy
    assert all(admits(policy, value, authority=authorities[0]).admitted for value in host_data)


@given(hashes, hashes)
def test_adding_then_removing_a_hash_gives_back_the_first_policy(first: str, second: str) -> None:
    policy = build([first], [WEST, EAST])

    added = add_host_data(policy, second)
    assert set(added.host_data) == {first, second}
    if first != second:
        assert remove_host_data(added, second) == policy


def test_adding_a_hash_that_is_there_changes_nothing() -> None:
    policy = build([OLD], [WEST])

    assert add_host_data(policy, OLD.upper()) == policy


def test_claims_that_the_owner_added_hold_for_a_new_hash_too() -> None:
    document = build([OLD], [WEST]).to_document()
    entry = document["anyOf"][0]  # type: ignore[index]
    entry["allOf"].append({"claim": "x-ms-sevsnpvm-guestsvn", "greaterOrEquals": 2})

    policy = add_host_data(ReleasePolicy.from_document(document), NEW)

    extra = Condition("x-ms-sevsnpvm-guestsvn", 2, "greaterOrEquals")
    assert [extra in rule.conditions for rule in policy.rules] == [True, True]
    assert evaluate(policy, claims(NEW, **{"x-ms-sevsnpvm-guestsvn": 3})).admitted
    assert not evaluate(policy, claims(NEW, **{"x-ms-sevsnpvm-guestsvn": 1})).admitted


def test_a_hash_can_be_admitted_for_another_authority_alone() -> None:
    policy = build([OLD], [WEST])

    added = add_host_data(policy, NEW, [EAST])

    assert added.rules == (*policy.rules, *build([NEW], [EAST]).rules)


def test_a_hash_that_one_authority_vouches_for_is_admitted_for_another_as_well() -> None:
    added = add_host_data(build([OLD], [WEST]), OLD, [EAST])

    assert added == build([OLD], [WEST, EAST])
    assert add_host_data(added, OLD, [EAST]) == added


OWN = Condition("x-ms-owner", "party2")


@pytest.mark.parametrize(
    "stranger",
    [
        AuthorityRule(f"https://{EAST}", (Condition(HOST_DATA, OLD), OWN)),  # of another authority
        AuthorityRule(f"https://{WEST}", (OWN,)),  # of no host-data
    ],
)
def test_a_new_rule_takes_its_claims_over_only_from_a_rule_of_its_authority_that_binds_a_host_data(
    stranger: AuthorityRule,
) -> None:
    policy = ReleasePolicy((stranger, *build([OLD], [WEST]).rules))

    assert add_host_data(policy, NEW, [WEST]).rules == (*policy.rules, *build([NEW], [WEST]).rules)


def test_a_rule_of_which_one_condition_is_enough_does_not_stand_for_one_that_asks_for_all() -> None:
    (strict,) = build([OLD], [WEST]).rules
    loose = AuthorityRule(strict.authority, strict.conditions, "anyOf")

    assert strict in add_host_data(ReleasePolicy((loose,)), OLD).rules


def test_revoking_the_last_hash_leaves_a_policy_that_admits_nobody() -> None:
    revoked = remove_host_data(build([OLD], [WEST]), OLD)

    assert revoked.rules
    assert not evaluate(revoked, claims()).admitted
    assert not admits(revoked, OLD, authority=WEST).admitted
    assert add_host_data(revoked, NEW) == build([NEW], [WEST])


def test_claims_that_the_owner_added_outlive_the_revocation_of_the_last_hash() -> None:
    asked = build([OLD], [WEST], (OWN,))

    (rule,) = add_host_data(remove_host_data(asked, OLD), NEW).rules

    assert OWN in rule.conditions


def test_rules_of_others_survive_a_revocation() -> None:
    foreign = AuthorityRule(f"https://{EAST}", (Condition("x-ms-attestation-type", "sevsnpvm"),))
    policy = ReleasePolicy((*build([OLD], [WEST]).rules, foreign))

    assert remove_host_data(policy, OLD).rules == (foreign,)


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({HOST_DATA: NEW}, HOST_DATA),
        ({COMPLIANCE_STATUS: "azure-signed-katacc-uvm"}, COMPLIANCE_STATUS),
        ({IS_DEBUGGABLE: True}, IS_DEBUGGABLE),
        ({VMPL: 1}, VMPL),
        ({"iss": f"https://{EAST}"}, "iss"),
    ],
)
def test_each_claim_that_differs_is_refused_by_name(change: dict[str, object], claim: str) -> None:
    result = evaluate(build([OLD], [WEST]), claims() | change)

    assert not result.admitted
    assert [failure.claim for failure in result.nearest] == [claim]


@pytest.mark.parametrize("claim", [HOST_DATA, COMPLIANCE_STATUS, IS_DEBUGGABLE, VMPL])
def test_an_absent_claim_is_refused(claim: str) -> None:
    token = claims()
    del token[claim]

    result = evaluate(build([OLD], [WEST]), token)

    assert not result.admitted
    assert result.nearest[0].actual == "absent"


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "exists"])
def test_an_absent_claim_satisfies_no_comparison(operator: str) -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("svn", 4, operator),))

    assert not evaluate(ReleasePolicy((rule,)), {"iss": f"https://{WEST}"}).admitted


@pytest.mark.parametrize(("wanted", "admitted"), [(False, True), ("false", True), (True, False)])
def test_a_claim_can_be_asked_to_be_absent(wanted: str | bool, admitted: bool) -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("svn", wanted, "exists"),))

    assert evaluate(ReleasePolicy((rule,)), {"iss": f"https://{WEST}"}).admitted is admitted


def test_an_issuer_may_end_in_a_slash_and_one_that_is_absent_is_named() -> None:
    policy = build([OLD], [WEST])
    assert evaluate(policy, claims() | {"iss": f"https://{WEST}/"}).admitted
    token = claims()
    del token["iss"]
    (failure,) = evaluate(policy, token).nearest
    assert str(failure) == f"iss is absent, the release policy wants https://{WEST}"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition("svn", 5), "svn is 4, the release policy wants 5"),
        (Condition("svn", "4", "notEquals"), "svn is 4, the release policy wants notEquals 4"),
        (Condition("svn", 5, "greater"), "svn is 4, the release policy wants greater 5"),
        (Condition("svn", False, "exists"), "svn is 4, the release policy wants exists false"),
        (Condition("owner", True, "exists"), "owner is absent, the release policy wants exists true"),
    ],
)
def test_a_condition_that_fails_is_told_with_what_came_and_what_it_wants(condition: Condition, said: str) -> None:
    (failure,) = evaluate(all_of(WEST, condition), {"iss": f"https://{WEST}", "svn": 4}).nearest
    assert str(failure) == said


def test_a_nested_claim_is_found_by_its_path() -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("x-ms-isolation-tee.x-ms-attestation-type", "sevsnpvm"),))

    assert evaluate(
        ReleasePolicy((rule,)),
        {"iss": f"https://{WEST}", "x-ms-isolation-tee": {"x-ms-attestation-type": "sevsnpvm"}},
    ).admitted


@pytest.mark.parametrize(
    ("operator", "value", "admitted"),
    [
        ("notEquals", "5", True),
        ("notEquals", "4", False),
        ("less", 5, True),
        ("less", 4, False),
        ("lessOrEquals", 4, True),
        ("greater", 4, False),
        ("greaterOrEquals", "4", True),
        ("greater", "high", False),
        ("exists", True, True),
        ("exists", "false", False),
    ],
)
def test_every_operator_of_the_grammar_compares(operator: str, value: str | int | bool, admitted: bool) -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("svn", value, operator),))

    assert evaluate(ReleasePolicy((rule,)), {"iss": f"https://{WEST}", "svn": 4}).admitted is admitted


def test_one_condition_is_enough_for_any_of() -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("a", "1"), Condition("b", "1")), "anyOf")

    assert evaluate(ReleasePolicy((rule,)), {"iss": f"https://{WEST}", "b": 1}).admitted
    assert not evaluate(ReleasePolicy((rule,)), {"iss": f"https://{WEST}", "b": 2}).admitted


RULE = {"authority": "https://a", "allOf": [{"claim": "a", "equals": "b"}]}
GOOD = {"version": "1.0.0", "anyOf": [RULE]}


def ruled(**changes: object) -> dict[str, object]:
    return GOOD | {"anyOf": [{name: value for name, value in (RULE | changes).items() if value is not None}]}


def conditioned(condition: object) -> dict[str, object]:
    return ruled(allOf=[condition])


FAULTS: dict[str, tuple[object, str]] = {
    "a list": ([GOOD], "no JSON object"),
    "no version": ({"anyOf": [RULE]}, "lacks version"),
    "an unknown version": (GOOD | {"version": "9"}, "version '9'"),
    "no rules": ({"version": "1.0.0"}, "lacks anyOf"),
    "an empty list of rules": (GOOD | {"anyOf": []}, "an empty one"),
    "rules that are no list": (GOOD | {"anyOf": RULE}, "no list"),
    "a field beside the rules": (GOOD | {"except": []}, "unknown fields: except"),
    "a rule that is no object": (GOOD | {"anyOf": ["https://a"]}, "no JSON object"),
    "no authority": (ruled(authority=None), "lacks authority"),
    "an authority that is no text": (ruled(authority=7), "no text"),
    "an authority without a name": (ruled(authority="https://"), "no host name"),
    "an authority over http": (ruled(authority="http://a"), "no host name"),
    "a rule without conditions": (ruled(allOf=None), "exactly one of allOf and anyOf"),
    "a rule with both combinations": (ruled(anyOf=RULE["allOf"]), "exactly one of allOf and anyOf"),
    "an empty list of conditions": (ruled(allOf=[]), "an empty one"),
    "a field beside the conditions": (ruled(unless=[]), "unknown fields: unless"),
    "a condition without a claim": (conditioned({"equals": "b"}), "lacks claim"),
    "a condition without an operator": (conditioned({"claim": "a"}), "exactly one of equals"),
    "a condition with two operators": (conditioned({"claim": "a", "equals": "b", "notEquals": "c"}), "exactly one"),
    "an unknown operator": (conditioned({"claim": "a", "like": "b"}), "unknown fields: like"),
    "conditions within conditions": (conditioned({"anyOf": RULE["allOf"]}), "lacks claim"),
    "a claim that is no text": (conditioned({"claim": 7, "equals": "b"}), "compares a name"),
    "a value that is an object": (conditioned({"claim": "a", "equals": {}}), "compares a name"),
    "a value that is null": (conditioned({"claim": "a", "equals": None}), "compares a name"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_thing_that_is_not_understood_is_enough_to_refuse_a_policy(fault: str) -> None:
    document, message = FAULTS[fault]
    assert ReleasePolicy.from_document(GOOD).to_document() == GOOD
    with pytest.raises(ReleasePolicyError, match=message):
        ReleasePolicy.parse(json.dumps(document))


@pytest.mark.parametrize("text", ["no json", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ReleasePolicyError, match="is not JSON"):
        ReleasePolicy.parse(text)


def test_the_older_version_is_kept_as_it_is() -> None:
    document = build([OLD], [WEST]).to_document() | {"version": "0.2"}

    assert ReleasePolicy.from_document(document).to_document() == document


@pytest.mark.parametrize(
    ("host_data", "authority", "debuggable", "words"),
    [
        (NEW, WEST, False, "it admits aaaaaaaaaaaa"),
        (OLD, EAST, False, f"trusts https://{WEST}"),
        (OLD, WEST, True, "is-debuggable is true"),
    ],
)
def test_a_refusal_says_which_claim_and_what_would_be_admitted(
    host_data: str, authority: str, debuggable: bool, words: str
) -> None:
    admission = admits(build([OLD], [WEST]), host_data, authority=authority, debuggable=debuggable)

    assert not admission.admitted
    assert words in admission.reason


def test_a_refusal_lists_what_is_admitted_and_a_revoked_key_admits_none() -> None:
    both = build([OLD, NEW], [WEST])
    refused = admits(both, "c" * 64, authority=WEST).reason
    assert f"does not admit host-data {'c' * 12}…; it admits {OLD[:12]}…, {NEW[:12]}…." in refused
    revoked = remove_host_data(remove_host_data(both, OLD), NEW)
    assert admits(revoked, OLD, authority=WEST).reason.endswith("it admits none.")


def test_a_built_policy_has_no_weakness() -> None:
    assert weaknesses(build([OLD], [WEST, EAST])) == ()


WEAKNESSES = {
    HOST_DATA: "binds no host-data",
    IS_DEBUGGABLE: "admits a debuggable guest",
    COMPLIANCE_STATUS: f"utility VM endorsed by Microsoft ({COMPLIANCE_STATUS})",
    VMPL: f"does not ask for {VMPL} 0",
    MIGRATION_ALLOWED: "may be moved to another machine",
    "x-ms-sevsnpvm-snpfw-svn": "SNP firmware older than 23",
}


def rule_with(
    claim: str, replacement: Condition | None, combination: Literal["allOf", "anyOf"] = "allOf"
) -> AuthorityRule:
    """A rule as `build` makes it, but for one condition."""
    (built,) = build([OLD], [WEST]).rules
    changed = (replacement if condition.claim == claim else condition for condition in built.conditions)
    return AuthorityRule(built.authority, tuple(condition for condition in changed if condition), combination)


def value_of(claim: str) -> str | int | float | bool:
    return next(condition.value for condition in build([OLD], [WEST]).rules[0].conditions if condition.claim == claim)


@pytest.mark.parametrize("claim", WEAKNESSES)
def test_a_rule_that_does_not_ask_for_a_claim_is_named_weak_for_that_claim_alone(claim: str) -> None:
    (weakness,) = weaknesses(ReleasePolicy((rule_with(claim, None),)))
    assert weakness.startswith(f"The rule for https://{WEST} ")
    assert WEAKNESSES[claim] in weakness


@pytest.mark.parametrize("claim", WEAKNESSES)
def test_a_rule_that_asks_for_the_contrary_is_as_weak_as_one_that_does_not_ask(claim: str) -> None:
    rule = rule_with(claim, Condition(claim, value_of(claim), "notEquals"))
    (weakness,) = weaknesses(ReleasePolicy((rule,)))
    assert WEAKNESSES[claim] in weakness
    assert (rule.host_data is None) == (claim == HOST_DATA)


@pytest.mark.parametrize("claim", [IS_DEBUGGABLE, COMPLIANCE_STATUS, VMPL, MIGRATION_ALLOWED])
def test_a_rule_that_asks_for_another_value_is_weak(claim: str) -> None:
    (weakness,) = weaknesses(ReleasePolicy((rule_with(claim, Condition(claim, "true")),)))
    assert WEAKNESSES[claim] in weakness


@pytest.mark.parametrize(
    ("operator", "value", "weak"),
    [
        ("equals", 23, False),
        ("greater", 23, False),
        ("greaterOrEquals", 24, False),
        ("greaterOrEquals", 22, True),
        ("greaterOrEquals", "23", True),
        ("lessOrEquals", 23, True),
        ("exists", True, True),
    ],
)
def test_a_rule_keeps_old_firmware_out_where_it_demands_a_number_that_is_high_enough(
    operator: str, value: str | int | bool, weak: bool
) -> None:
    claim = "x-ms-sevsnpvm-snpfw-svn"
    rule = rule_with(claim, Condition(claim, value, operator))
    assert bool(weaknesses(ReleasePolicy((rule,)))) is weak


def test_a_rule_of_which_one_condition_is_enough_asks_for_nothing_for_certain() -> None:
    rule = rule_with("", None, "anyOf")
    found = weaknesses(ReleasePolicy((rule,)))
    assert rule.host_data is None
    assert all(any(words in weakness for weakness in found) for words in WEAKNESSES.values())


@pytest.mark.parametrize("claim", WEAKNESSES)
def test_a_condition_has_to_hold_where_it_is_the_only_one_and_not_where_another_one_is_enough(claim: str) -> None:
    condition = next(condition for condition in build([OLD], [WEST]).rules[0].conditions if condition.claim == claim)

    def is_weak(policy: ReleasePolicy) -> bool:
        return any(WEAKNESSES[claim] in weakness for weakness in weaknesses(policy))

    assert not is_weak(one_of(WEST, condition))
    assert is_weak(one_of(WEST, condition, OWN))


def test_a_rule_that_asks_for_two_hashes_binds_the_key_to_neither() -> None:
    assert AuthorityRule(f"https://{WEST}", (Condition(HOST_DATA, OLD), Condition(HOST_DATA, NEW))).host_data is None


def one_of(authority: str, *conditions: Condition) -> ReleasePolicy:
    return ReleasePolicy((AuthorityRule(f"https://{authority}", conditions, "anyOf"),))


def all_of(authority: str, *conditions: Condition) -> ReleasePolicy:
    return ReleasePolicy((AuthorityRule(f"https://{authority}", conditions),))


UNKNOWN = Condition("x-ms-sevsnpvm-guestsvn", 2, "greaterOrEquals")


@pytest.mark.parametrize(
    ("policy", "admitted"),
    [
        (one_of(WEST, Condition(HOST_DATA, NEW), UNKNOWN), True),  # the running group may show it
        (one_of(EAST, Condition(HOST_DATA, NEW), UNKNOWN), False),
        (one_of(EAST, Condition(HOST_DATA, OLD)), False),
        (one_of(WEST, Condition(HOST_DATA, NEW), Condition(VMPL, "1")), False),
        (one_of(WEST, Condition(HOST_DATA, OLD), Condition(VMPL, "1")), True),
        (all_of(WEST, Condition(HOST_DATA, OLD), UNKNOWN), True),
        (all_of(WEST, Condition(HOST_DATA, NEW), UNKNOWN), False),
        (all_of(WEST, Condition(HOST_DATA, OLD), Condition("x-ms-attestation-type", "sevsnpvm")), True),
        (all_of(WEST, Condition(HOST_DATA, OLD), Condition("x-ms-attestation-type", "azurevm")), False),
        (all_of(EAST, Condition(HOST_DATA, OLD), UNKNOWN), False),
        (all_of(WEST, Condition(HOST_DATA, OLD), Condition(IS_DEBUGGABLE, "true")), False),
        (all_of(WEST, Condition(HOST_DATA, OLD), Condition(MIGRATION_ALLOWED, "true")), False),
    ],
)
def test_a_group_that_has_not_started_counts_as_admitted_where_what_is_known_fits(
    policy: ReleasePolicy, admitted: bool
) -> None:
    assert admits(policy, OLD, authority=WEST).admitted is admitted


def test_a_comparison_names_what_came_and_what_went() -> None:
    change = compare(build([OLD], [WEST]), build([NEW], [WEST]))

    assert [line[:14] for line in change.lines()] == ["+ host-data bb", "- host-data aa"]
    assert not compare(build([OLD], [WEST]), ReleasePolicy.parse(json.dumps(build([OLD], [WEST]).to_document())))


def test_a_comparison_says_for_which_groups_and_under_which_claims_a_rule_lets_the_key_out() -> None:
    open_to_all = AuthorityRule(f"https://{WEST}", (OWN, UNKNOWN))

    change = compare(None, ReleasePolicy((*build([OLD], [WEST], ()).rules, open_to_all)))

    assert change.lines() == (
        f"+ host-data {OLD} vouched for by https://{WEST}",
        f"+ ANY host-data vouched for by https://{WEST}, if {OWN}; {UNKNOWN}",
    )


@pytest.mark.parametrize(
    ("before", "after", "signs"),
    [
        (build([OLD], [WEST]), build([OLD, NEW], [WEST]), ["+"]),
        (build([OLD, NEW], [WEST]), build([OLD], [WEST]), ["-"]),
        (build([OLD], [WEST]), build([OLD], [WEST, EAST]), ["+"]),
        (one_of(WEST, UNKNOWN, OWN), all_of(WEST, UNKNOWN, OWN), ["+", "-"]),
        (all_of(WEST, UNKNOWN), all_of(EAST, UNKNOWN), ["+", "-"]),
        (all_of(WEST, UNKNOWN), all_of(WEST, UNKNOWN, OWN), ["+", "-"]),
        (all_of(WEST, UNKNOWN, OWN), all_of(WEST, OWN, UNKNOWN), []),
        (None, build([OLD], [WEST]), ["+"]),
    ],
)
def test_whatever_comes_or_goes_is_a_change(
    before: ReleasePolicy | None, after: ReleasePolicy, signs: list[str]
) -> None:
    change = compare(before, after)

    assert [line[0] for line in change.lines()] == signs
    assert bool(change) is bool(signs)


OLD_RULE = {
    "authority": f"https://{WEST}",
    "allOf": [
        {"claim": HOST_DATA, "equals": OLD},
        {"claim": COMPLIANCE_STATUS, "equals": "azure-compliant-uvm"},
        {"claim": IS_DEBUGGABLE, "equals": "false"},
        {"claim": VMPL, "equals": "0"},
    ],
}
"""What this product, and Microsoft's tool, wrote before there were floors."""


def test_a_new_hash_gets_the_floors_that_an_older_policy_lacks_and_an_old_one_is_pointed_at() -> None:
    policy = ReleasePolicy.from_document({"version": "1.0.0", "anyOf": [OLD_RULE]})

    added = add_host_data(policy, NEW)

    assert added.rules[1] == build([NEW], [WEST]).rules[0]
    assert add_host_data(policy, OLD) == policy
    assert any("SNP firmware older than 23" in weakness for weakness in weaknesses(policy))
    assert weaknesses(build([NEW], [WEST])) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"x-ms-sevsnpvm-guestsvn": 0},
        {"x-ms-sevsnpvm-snpfw-svn": 22},
        {"x-ms-sevsnpvm-microcode-svn": 0},
        {"x-ms-sevsnpvm-migration-allowed": True},
    ],
)
def test_a_key_is_not_let_out_to_old_firmware_or_to_a_guest_that_can_be_moved(changes: dict[str, object]) -> None:
    policy = build([OLD], [WEST])

    assert evaluate(policy, claims()).admitted
    assert not evaluate(policy, claims(**changes)).admitted
