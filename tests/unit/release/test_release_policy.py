import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.release import (
    COMPLIANCE_STATUS,
    HOST_DATA,
    IS_DEBUGGABLE,
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
    assert extra in admits(policy, NEW, authority=WEST).open_conditions
    assert evaluate(policy, claims(NEW, **{"x-ms-sevsnpvm-guestsvn": 3})).admitted
    assert not evaluate(policy, claims(NEW, **{"x-ms-sevsnpvm-guestsvn": 1})).admitted


def test_revoking_the_last_hash_leaves_a_policy_that_admits_nobody() -> None:
    revoked = remove_host_data(build([OLD], [WEST]), OLD)

    assert revoked.rules
    assert not evaluate(revoked, claims()).admitted
    assert not admits(revoked, OLD, authority=WEST).admitted
    assert add_host_data(revoked, NEW) == build([NEW], [WEST])


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


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "[]",
        '{"version":"9","anyOf":[]}',
        '{"version":"1.0.0","anyOf":[]}',
        '{"version":"1.0.0","anyOf":[{"authority":"https://a"}]}',
        '{"version":"1.0.0","anyOf":[{"authority":"https://a","allOf":[{"claim":"a","like":"b"}]}]}',
        '{"version":"1.0.0","anyOf":[{"authority":"https://a","allOf":[{"claim":"a","equals":{}}]}]}',
        '{"version":"1.0.0","anyOf":[{"authority":"https://a","allOf":[{"anyOf":[]}]}]}',
        '{"version":"1.0.0","anyOf":[{"authority":"https://a","allOf":[{"claim":"a","equals":"b"}]}],"except":[]}',
    ],
)
def test_what_is_not_understood_is_refused(document: str) -> None:
    with pytest.raises(ReleasePolicyError):
        ReleasePolicy.parse(document)


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


def test_a_built_policy_has_no_weakness() -> None:
    assert weaknesses(build([OLD], [WEST, EAST])) == ()


def test_a_rule_that_asks_only_for_the_hardware_is_named_weak() -> None:
    rule = AuthorityRule(f"https://{WEST}", (Condition("x-ms-attestation-type", "sevsnpvm"),))

    found = " ".join(weaknesses(ReleasePolicy((rule,))))

    assert "binds no host-data" in found
    assert "debuggable" in found
    assert COMPLIANCE_STATUS in found


def test_a_comparison_names_what_came_and_what_went() -> None:
    change = compare(build([OLD], [WEST]), build([NEW], [WEST]))

    assert [line[:14] for line in change.lines()] == ["+ host-data bb", "- host-data aa"]
    assert not compare(build([OLD], [WEST]), ReleasePolicy.parse(json.dumps(build([OLD], [WEST]).to_document())))


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
