import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence import Evidence, Expectation, Verdict, check, new_nonce, signing_keys
from tests.support.attested import FIRMWARE

MAA = "sharedeus2.eus2.attest.azure.net"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOST_DATA = "ab" * 32
PEER = "ee" * 32


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def another_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def published(key: rsa.RSAPrivateKey, kid: str = "k1") -> dict[str, Any]:
    """The JWK set as the service publishes it: a certificate for each key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "attestation")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, SHA256())
    )
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    return {"keys": [{"kid": kid, "kty": "RSA", "x5c": [der]}]}


def runtime(nonce: str) -> bytes:
    return json.dumps({"nonce": nonce, "tlsSPKI": PEER, "name": "contracts"}).encode()


def claims(runtime_data: bytes, **changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "iss": f"https://{MAA}",
        "nbf": NOW.timestamp() - 10,
        "exp": NOW.timestamp() + 3600,
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-sevsnpvm-hostdata": HOST_DATA,
        "x-ms-sevsnpvm-is-debuggable": False,
        "x-ms-sevsnpvm-vmpl": 0,
        **FIRMWARE,
        "x-ms-sevsnpvm-reportdata": (hashlib.sha256(runtime_data).digest() + bytes(32)).hex(),
    }
    good.update(changes)
    return {name: value for name, value in good.items() if value is not None}


def verdict(
    key: rsa.RSAPrivateKey,
    changes: Mapping[str, Any] | None = None,
    *,
    nonce: str = "fresh",
    asked: str | None = "fresh",
    peer: str | None = PEER,
    keys: Mapping[str, Any] | None = None,
    runtime_data: bytes | None = None,
    debuggable: bool = False,
    **header: Any,
) -> Verdict:
    data = runtime(nonce)
    token = jwt.encode(claims(data, **(changes or {})), key, algorithm="RS256", headers={"kid": "k1", **header})
    evidence = Evidence(token, data if runtime_data is None else runtime_data)
    expectation = Expectation(MAA, [HOST_DATA], asked, peer, NOW, debuggable)
    return check(evidence, signing_keys(keys or published(key)), expectation)


def failed(result: Verdict) -> list[str]:
    assert all(one.passed is False for one in result.failures)
    return [one.name for one in result.failures]


def test_good_evidence_passes_every_check_and_each_says_what_it_found(key: rsa.RSAPrivateKey) -> None:
    result = verdict(key)

    assert result.passed
    shown = {
        "Signature": "k1",
        "Issuer": f"https://{MAA}",
        "Valid now": "from 2026-05-01T11:59:50+00:00 to 2026-05-01T13:00:00+00:00",
        "Report data": "the runtime data's hash",
        "Nonce": "this question",
        "Channel": PEER,
        "Attestation type": "sevsnpvm",
        "Host-data": HOST_DATA,
        "Compliance status": "azure-compliant-uvm",
        "Not debuggable": "false",
        "Privilege level": "0",
        "Not movable": "false",
        "Guest SVN": "22, at least 1",
        "SNP firmware": "24, at least 23",
        "Microcode": "219, at least 84",
    }
    assert [one.name for one in result.checks] == list(shown)
    assert all(shown[one.name] in one.detail and "expected" not in one.detail for one in result.checks)
    assert result.claims()["iss"] == f"https://{MAA}"
    assert result.claims()["x-ms-sevsnpvm-hostdata"] == HOST_DATA


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"x-ms-sevsnpvm-hostdata": "cd" * 32}, "Host-data"),
        ({"x-ms-sevsnpvm-hostdata": None}, "Host-data"),
        ({"x-ms-compliance-status": "other"}, "Compliance status"),
        ({"x-ms-compliance-status": None}, "Compliance status"),
        ({"x-ms-sevsnpvm-is-debuggable": True}, "Not debuggable"),
        ({"x-ms-sevsnpvm-is-debuggable": None}, "Not debuggable"),
        ({"x-ms-sevsnpvm-vmpl": 1}, "Privilege level"),
        ({"x-ms-sevsnpvm-migration-allowed": True}, "Not movable"),
        ({"x-ms-sevsnpvm-guestsvn": 0}, "Guest SVN"),
        ({"x-ms-sevsnpvm-snpfw-svn": 22}, "SNP firmware"),
        ({"x-ms-sevsnpvm-snpfw-svn": "24"}, "SNP firmware"),
        ({"x-ms-sevsnpvm-snpfw-svn": True}, "SNP firmware"),
        ({"x-ms-sevsnpvm-microcode-svn": 0}, "Microcode"),
        ({"x-ms-sevsnpvm-microcode-svn": None}, "Microcode"),
        ({"x-ms-attestation-type": "azurevm"}, "Attestation type"),
        ({"iss": "https://sharedweu.weu.attest.azure.net"}, "Issuer"),
        ({"iss": f"http://{MAA}"}, "Issuer"),
        ({"exp": NOW.timestamp() - 3600}, "Valid now"),
        ({"exp": NOW.timestamp() - 60}, "Valid now"),
        ({"exp": None}, "Valid now"),
        ({"exp": True}, "Valid now"),
        ({"exp": "9999999999"}, "Valid now"),
        ({"exp": 10**20}, "Valid now"),
        ({"exp": float("nan")}, "Valid now"),
        ({"nbf": None}, "Valid now"),
        ({"nbf": NOW.timestamp() - 10, "exp": NOW.timestamp() - 61}, "Valid now"),
        ({"nbf": NOW.timestamp() + 61}, "Valid now"),
        ({"nbf": NOW.timestamp() + 3600}, "Valid now"),
        ({"x-ms-sevsnpvm-reportdata": "00" * 64}, "Report data"),
        ({"x-ms-sevsnpvm-reportdata": None}, "Report data"),
    ],
)
def test_each_claim_that_differs_fails_its_own_check(
    key: rsa.RSAPrivateKey, changes: dict[str, Any], name: str
) -> None:
    assert failed(verdict(key, changes)) == [name]


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW.timestamp() - 59},
        {"nbf": NOW.timestamp() + 60},
        {"nbf": -62135596800},  # the first and the last second that a time can have here
        {"exp": 253402300799},
        {"x-ms-sevsnpvm-hostdata": HOST_DATA.upper()},
    ],
)
def test_clocks_may_be_a_minute_apart_and_the_case_of_digits_means_nothing(
    key: rsa.RSAPrivateKey, changes: dict[str, Any]
) -> None:
    assert verdict(key, changes).passed


def test_report_data_and_an_expected_hash_may_be_in_upper_case(key: rsa.RSAPrivateKey) -> None:
    data = runtime("fresh")
    shouted = {"x-ms-sevsnpvm-reportdata": claims(data)["x-ms-sevsnpvm-reportdata"].upper()}
    token = jwt.encode(claims(data, **shouted), key, algorithm="RS256", headers={"kid": "k1"})
    expectation = Expectation(MAA, ["cd" * 32, HOST_DATA.upper()], "fresh", PEER, NOW)

    assert check(Evidence(token, data), signing_keys(published(key)), expectation).passed


def test_a_debuggable_guest_is_refused_by_who_says_nothing_about_it(key: rsa.RSAPrivateKey) -> None:
    data = runtime("fresh")
    token = jwt.encode(
        claims(data, **{"x-ms-sevsnpvm-is-debuggable": True}), key, headers={"kid": "k1"}, algorithm="RS256"
    )

    result = check(
        Evidence(token, data), signing_keys(published(key)), Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)
    )

    assert failed(result) == ["Not debuggable"]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"x-ms-sevsnpvm-hostdata": "cd" * 32}, f"{'cd' * 32}, expected {HOST_DATA}"),
        ({"x-ms-sevsnpvm-hostdata": None}, f"absent, expected {HOST_DATA}"),
        ({"x-ms-compliance-status": "other"}, "other, expected azure-compliant-uvm"),
        ({"x-ms-sevsnpvm-vmpl": None}, "absent, expected 0"),
        ({"x-ms-sevsnpvm-reportdata": "00" * 64}, "of other runtime data"),
        ({"x-ms-sevsnpvm-snpfw-svn": 22}, "22, at least 23"),
        ({"x-ms-sevsnpvm-microcode-svn": None}, "absent, at least 84"),
        ({"exp": None}, "lacks its times"),
    ],
)
def test_a_failure_says_what_was_found_and_what_was_expected(
    key: rsa.RSAPrivateKey, changes: dict[str, Any], detail: str
) -> None:
    (failure,) = verdict(key, changes).failures
    assert detail in failure.detail


def test_a_hash_that_is_none_of_several_expected_ones_is_told_beside_all_of_them(key: rsa.RSAPrivateKey) -> None:
    data = runtime("fresh")
    token = jwt.encode(claims(data), key, algorithm="RS256", headers={"kid": "k1"})
    expectation = Expectation(MAA, ["cd" * 32, "ef" * 32], "fresh", PEER, NOW)

    (failure,) = check(Evidence(token, data), signing_keys(published(key)), expectation).failures

    assert failure.detail == f"{HOST_DATA}, expected {'cd' * 32} or {'ef' * 32}"


def test_what_a_page_says_reaches_a_condition_only_as_one_short_line(key: rsa.RSAPrivateKey) -> None:
    (failure,) = verdict(key, {"x-ms-compliance-status": "a\nReady: all is well\x1b[2K" + "x" * 10_000}).failures

    assert failure.detail.isprintable()
    assert len(failure.detail) < 1000


def test_an_old_nonce_is_refused(key: rsa.RSAPrivateKey) -> None:
    result = verdict(key, nonce="yesterday")

    assert failed(result) == ["Nonce"]
    assert "made for another question" in result.failures[0].detail


def test_evidence_of_another_connection_is_refused(key: rsa.RSAPrivateKey) -> None:
    result = verdict(key, peer="dd" * 32)

    assert failed(result) == ["Channel"]
    assert (
        f"TLS ends at key {'dd' * 32}, and the evidence is of key {PEER}: somebody stands between"
        in result.failures[0].detail
    )


@pytest.mark.parametrize("data", [b'{"nonce": "fresh"}', b'{"nonce": "fresh", "tlsSPKI": null}', b"[]", b"[" * 100_000])
def test_evidence_that_names_no_connection_is_refused(key: rsa.RSAPrivateKey, data: bytes) -> None:
    token = jwt.encode(claims(data), key, algorithm="RS256", headers={"kid": "k1"})
    expectation = Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)

    result = check(Evidence(token, data), signing_keys(published(key)), expectation)

    assert failed(result)[-1] == "Channel"
    assert "the evidence names no key" in result.failures[-1].detail


@pytest.mark.parametrize(
    "data",
    [b"[]", b"{}", b'{"nonce": null, "tlsSPKI": null}', b'{"nonce": 7}', b'{"nonce": "\\ud800", "tlsSPKI": "\\ud800"}'],
)
def test_runtime_data_without_the_nonce_that_was_asked_with_are_refused(key: rsa.RSAPrivateKey, data: bytes) -> None:
    token = jwt.encode(claims(data), key, algorithm="RS256", headers={"kid": "k1"})
    result = check(
        Evidence(token, data), signing_keys(published(key)), Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)
    )

    assert failed(result) == ["Nonce", "Channel"]


@pytest.mark.parametrize("claim", ["x-ms-sevsnpvm-reportdata", "x-ms-compliance-status", "x-ms-owner"])
def test_a_token_with_half_a_character_is_none(key: rsa.RSAPrivateKey, claim: str) -> None:
    """JSON can name it, no bytes stand for it: neither a comparison nor a terminal could take it."""
    with pytest.raises(IntegrityError):
        verdict(key, {claim: "\ud800"})


def test_evidence_from_a_file_needs_neither_nonce_nor_connection(key: rsa.RSAPrivateKey) -> None:
    assert verdict(key, nonce="yesterday", asked=None, peer=None).passed


def test_runtime_data_of_somebody_else_is_refused(key: rsa.RSAPrivateKey) -> None:
    """A page that puts our nonce beside a token made for other runtime data."""
    assert failed(verdict(key, nonce="other", runtime_data=runtime("fresh"))) == ["Report data"]


def test_a_token_signed_by_another_key_is_refused(key: rsa.RSAPrivateKey, another_key: rsa.RSAPrivateKey) -> None:
    assert failed(verdict(another_key, keys=published(key))) == ["Signature"]


def test_a_token_that_names_an_unknown_key_is_refused(key: rsa.RSAPrivateKey) -> None:
    result = verdict(key, kid="k2")

    assert failed(result) == ["Signature"]
    assert "it names k2" in result.failures[0].detail


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512"])
def test_a_token_does_not_choose_how_it_is_checked(key: rsa.RSAPrivateKey, algorithm: str) -> None:
    data = runtime("fresh")
    secret = {"none": None, "HS256": "x" * 64, "RS512": key}[algorithm]
    token = jwt.encode(claims(data), secret, algorithm=algorithm, headers={"kid": "k1"})  # type: ignore[arg-type]
    expectation = Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)

    assert "Signature" in failed(check(Evidence(token, data), signing_keys(published(key)), expectation))


def test_a_debuggable_guest_passes_only_when_it_was_asked_for(key: rsa.RSAPrivateKey) -> None:
    assert verdict(key, {"x-ms-sevsnpvm-is-debuggable": True}, debuggable=True).passed


def test_a_changed_claim_breaks_the_signature(key: rsa.RSAPrivateKey) -> None:
    data = runtime("fresh")
    header, _, signature = jwt.encode(claims(data), key, algorithm="RS256", headers={"kid": "k1"}).split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(data, jti="1")).encode()).rstrip(b"=").decode()
    expectation = Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)

    result = check(Evidence(f"{header}.{other}.{signature}", data), signing_keys(published(key)), expectation)

    assert failed(result) == ["Signature"]


def test_bare_rsa_numbers_are_read_as_well(key: rsa.RSAPrivateKey) -> None:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k1"}

    assert verdict(key, keys={"keys": [{"kid": "k0", "kty": "EC"}, jwk]}).passed


NO_KEYS: list[object] = [
    "k1",
    None,
    {},
    {"kid": "k1"},
    {"kty": "RSA"},
    *({"kid": "k1", "x5c": chain} for chain in (["!"], [""], [7], [None], [[]], "!", 7, True, {"0": "!"}, {"a": "b"})),
    *({"kid": "k1", "kty": "RSA", "n": n, "e": "AQAB"} for n in ("", "!", 7, None)),
]
"""Entries of a JWK set that hold no key which could be read."""


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": []}, {"keys": {}}, *({"keys": [entry]} for entry in NO_KEYS)]
)
def test_a_service_without_keys_is_refused(document: object) -> None:
    with pytest.raises(IntegrityError):
        signing_keys(document)


def test_entries_that_hold_no_key_do_not_hide_the_one_that_does(key: rsa.RSAPrivateKey) -> None:
    assert verdict(key, keys={"keys": [*NO_KEYS, *published(key)["keys"]]}).passed


def test_a_certificate_of_an_unknown_version_holds_no_key_either(key: rsa.RSAPrivateKey) -> None:
    [entry] = published(key)["keys"]
    der = base64.b64decode(entry["x5c"][0]).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1)
    with pytest.raises(IntegrityError):
        signing_keys({"keys": [entry | {"x5c": [base64.b64encode(der).decode()]}]})


def encoded(*parts: str) -> str:
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c",
        "e30.W10.e30",
        encoded('{"alg":"RS256"}', "no JSON", "x"),
        encoded('{"alg":"RS256"}', "[]", "x"),
        encoded('{"alg":"RS256"}', "[" * 100_000, "x"),
        encoded("[" * 100_000, "{}", "x"),
        encoded("[]", "{}", "x"),
    ],
)
def test_what_is_no_token_is_refused(key: rsa.RSAPrivateKey, token: str) -> None:
    expectation = Expectation(MAA, [HOST_DATA], "fresh", PEER, NOW)
    with pytest.raises(IntegrityError):
        check(Evidence(token, b"{}"), signing_keys(published(key)), expectation)


@pytest.mark.parametrize("document", [None, [], {}, {"token": 1}, {"token": "a", "runtimeData": "%"}])
def test_what_is_no_evidence_is_refused(document: object) -> None:
    with pytest.raises(IntegrityError):
        Evidence.parse(document)


@given(st.binary(max_size=200))
def test_any_runtime_data_survives_the_wire_and_never_breaks_the_nonce(data: bytes) -> None:
    evidence = Evidence.parse(Evidence("t", data).to_document())

    assert evidence.runtime_data == data
    assert evidence.nonce is None or isinstance(evidence.nonce, str)


def test_nonces_differ() -> None:
    assert len({new_nonce() for _ in range(50)}) == 50
