import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.vault.release_policy import parse_policy, satisfied

AUTHORITY = "https://sharedeus2.eus2.attest.azure.net"
CLAIMS = {
    "iss": AUTHORITY,
    "x-ms-sevsnpvm-hostdata": "ab" * 32,
    "x-ms-sevsnpvm-is-debuggable": False,
    "x-ms-sevsnpvm-vmpl": 0,
    "x-ms-sevsnpvm-guestsvn": 22,
    "x-ms-isolation-tee": {"x-ms-attestation-type": "sevsnpvm"},
}


def document(*conditions, combine="allOf", authority=AUTHORITY):
    return {"version": "1.0.0", "anyOf": [{"authority": authority, combine: list(conditions)}]}


def holds(*conditions, **options):
    return satisfied(parse_policy(json.dumps(document(*conditions, **options)).encode()), CLAIMS)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"claim": "x-ms-sevsnpvm-hostdata", "equals": "ab" * 32}, True),
        ({"claim": "x-ms-sevsnpvm-hostdata", "equals": "AB" * 32}, False),
        ({"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"}, True),
        ({"claim": "x-ms-sevsnpvm-is-debuggable", "equals": False}, True),
        ({"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "False"}, False),
        ({"claim": "x-ms-sevsnpvm-vmpl", "equals": "0"}, True),
        ({"claim": "x-ms-sevsnpvm-vmpl", "equals": 0}, True),
        ({"claim": "x-ms-sevsnpvm-vmpl", "notEquals": "0"}, False),
        ({"claim": "x-ms-sevsnpvm-guestsvn", "greaterOrEquals": 22}, True),
        ({"claim": "x-ms-sevsnpvm-guestsvn", "greater": 22}, False),
        ({"claim": "x-ms-sevsnpvm-guestsvn", "less": "100"}, True),
        ({"claim": "x-ms-sevsnpvm-hostdata", "less": 5}, False),
        ({"claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm"}, True),
        ({"claim": "x-ms-isolation-tee", "equals": "sevsnpvm"}, False),
        ({"claim": "absent", "equals": ""}, False),
        ({"claim": "absent", "notEquals": "x"}, False),
        ({"claim": "absent", "exists": False}, True),
        ({"claim": "x-ms-sevsnpvm-vmpl", "exists": "true"}, True),
    ],
)
def test_a_condition_reads_a_claim_as_the_service_does(condition, expected):
    assert holds(condition) is expected


def test_all_conditions_of_an_authority_have_to_hold():
    good, bad = {"claim": "x-ms-sevsnpvm-vmpl", "equals": "0"}, {"claim": "x-ms-sevsnpvm-vmpl", "equals": "1"}
    assert holds(good, good)
    assert not holds(good, bad)
    assert holds(good, bad, combine="anyOf")


def test_only_the_named_authority_counts():
    condition = {"claim": "x-ms-sevsnpvm-vmpl", "equals": "0"}
    assert holds(condition, authority=f"{AUTHORITY}/")
    assert not holds(condition, authority="https://sharedweu.weu.attest.azure.net")


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"version": "2.0.0", "anyOf": []},
        {"version": "1.0.0"},
        {"version": "1.0.0", "anyOf": []},
        {"version": "1.0.0", "anyOf": [{"authority": "http://plain", "allOf": [{"claim": "a", "equals": "b"}]}]},
        {"version": "1.0.0", "anyOf": [{"authority": AUTHORITY}]},
        {"version": "1.0.0", "anyOf": [{"authority": AUTHORITY, "allOf": [], "anyOf": []}]},
        document({"claim": "a"}),
        document({"claim": "a", "equals": "b", "less": 1}),
        document({"claim": "a", "equals": ["b"]}),
        document({"equals": "b"}),
        document({"claim": "a", "resembles": "b"}),
    ],
)
def test_what_is_no_policy_is_refused(broken):
    with pytest.raises(ServiceError) as caught:
        parse_policy(json.dumps(broken).encode())
    assert (caught.value.status, caught.value.code) == (400, "BadParameter")


def test_bytes_that_are_no_json_are_refused():
    with pytest.raises(ServiceError, match="not JSON"):
        parse_policy(b"{")


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_no_other_host_data_than_the_one_named_is_let_through(host_data):
    condition = {"claim": "x-ms-sevsnpvm-hostdata", "equals": host_data}
    assert holds(condition) is (host_data == "ab" * 32)
