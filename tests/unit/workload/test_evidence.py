import base64
import hashlib
import json
from pathlib import Path

import pytest

from summarizer.attestation.custody import evidence_report
from summarizer.attestation.service import Endorsements, token
from summarizer.errors import EvidenceError
from summarizer.evidence import (
    Attester,
    Evidence,
    EvidenceDesk,
    is_runtime_data,
    nonce_is_valid,
    policy_hash,
    runtime_data,
)
from tests.support.tls import Handler, serving

NONCE = "bm9uY2Utbm9uY2Utbm9uY2Utbm9uY2U"
DATA = runtime_data(NONCE, "ee" * 32)


HOST = {"vcekCert": "VCEK\n", "certificateChain": "ASK\nARK\n", "tcbm": "7308000000000003"}


class Service:
    """An attestation service: keeps what it was sent."""

    def __init__(self, status: int = 200, body: bytes = b'{"token":"h.p.s"}') -> None:
        self.requests: list[tuple[str, dict[str, object]]] = []
        service = self

        class Answering(Handler):
            def get(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                service.requests.append((self.path, json.loads(sent)))
                self.reply(status, body)

        self._served = serving(Answering)

    def __enter__(self) -> tuple[str, "Service"]:
        return self._served.__enter__().url.removeprefix("https://"), self

    def __exit__(self, *error: object) -> None:
        self._served.__exit__(None, None, None)


def decoded(text: object) -> bytes:
    return base64.urlsafe_b64decode(str(text))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "host-amd-cert-base64").write_bytes(base64.b64encode(json.dumps(HOST).encode()))
    (tmp_path / "reference-info-base64").write_bytes(base64.b64encode(b"COSE"))
    return {"UVM_SECURITY_CONTEXT_DIR": str(tmp_path)}


def test_the_service_is_sent_the_report_and_what_proves_it(environment: dict[str, str]) -> None:
    with Service() as (authority, service):
        given = EvidenceDesk(Attester(lambda data: b"report of " + data, authority, environment), "ee" * 32).evidence(
            NONCE
        )
    [(path, sent)] = service.requests
    evidence = json.loads(decoded(sent["report"]))
    assert path == "/attest/SevSnpVM?api-version=2020-10-01"
    assert decoded(evidence["SnpReport"]) == b"report of " + DATA
    assert decoded(evidence["VcekCertChain"]) == b"VCEK\nASK\nARK\n"
    assert [decoded(one) for one in json.loads(decoded(evidence["Endorsements"]))["Uvm"]] == [b"COSE"]
    assert sent["runtimeData"] == {"data": base64.urlsafe_b64encode(DATA).decode(), "dataType": "JSON"}
    assert given == Evidence("h.p.s", DATA)
    assert f'{{"nonce":"{NONCE}","tlsSPKI":"{"ee" * 32}"}}'.encode() == DATA


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            400,
            b'{"error":{"code":"x","message":"The evidence does not\\u001b[2J hold."}}',
            "answered 400: The evidence does not\\[2J",
        ),
        (200, b'{"token":""}', "gave no token"),
        (200, b"[]", "no JSON object"),
        (200, b"<html>", "no JSON object"),
        (200, b"[" * 100_000, "no JSON object"),
        (200, b" " * (2 << 20), "without end"),
    ],
)
def test_anything_but_a_token_is_an_error(environment: dict[str, str], status: int, body: bytes, message: str) -> None:
    with Service(status, body) as (authority, _), pytest.raises(EvidenceError, match=message):
        token(authority, b"report", Endorsements.load(environment), DATA)


def test_a_service_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    with Service() as (gone, _):
        pass
    with pytest.raises(EvidenceError, match=f"attestation service {gone} cannot be reached"):
        token(gone, b"report", Endorsements.load(environment), DATA)


@pytest.mark.parametrize("content", [b"%", base64.b64encode(b"{}"), base64.b64encode(b"no JSON")])
def test_a_damaged_security_context_is_an_error(environment: dict[str, str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "host-amd-cert-base64").write_bytes(content)
    with pytest.raises(EvidenceError):
        Endorsements.load(environment)


def test_the_report_data_are_the_hash_of_nonce_and_key() -> None:
    asked = []

    class Recording:
        def report(self, data: bytes) -> bytes:
            asked.append(data)
            return b"report"

    assert evidence_report(Recording(), DATA, "ee" * 32) == b"report"
    assert asked == [hashlib.sha256(DATA).digest()]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"keys":[]}',
        runtime_data(NONCE, "dd" * 32),
        DATA + b" ",
        DATA.replace(b'"tlsSPKI"', b'"keys":[],"tlsSPKI"'),
        runtime_data('n","keys":[1],"x":"' + NONCE, "ee" * 32),
        runtime_data("short", "ee" * 32),
        "\u00e9".encode() + DATA,
    ],
)
def test_nothing_but_a_nonce_and_the_key_is_reported(data: bytes) -> None:
    assert is_runtime_data(DATA, "ee" * 32)
    assert not is_runtime_data(data, "ee" * 32)


@pytest.mark.parametrize("nonce", ["", "short", "a" * 87, "a" * 30 + "=", 'a" ,"keys":[]' * 3])
def test_a_nonce_is_16_to_64_bytes_in_base64url(nonce) -> None:
    assert not nonce_is_valid(nonce)
    assert nonce_is_valid(NONCE)


def test_the_policy_hash_is_that_of_the_decoded_policy(tmp_path) -> None:
    policy = b"package policy\n"
    (tmp_path / "security-policy-base64").write_bytes(base64.b64encode(policy))
    expected = hashlib.sha256(policy).hexdigest()
    assert policy_hash({"UVM_SECURITY_CONTEXT_DIR": str(tmp_path)}) == expected
    assert policy_hash({"UVM_SECURITY_POLICY": base64.b64encode(policy).decode()}) == expected


def test_outside_of_a_confidential_group_there_is_no_policy_hash(tmp_path) -> None:
    assert policy_hash({}) == ""
    assert policy_hash({"UVM_SECURITY_CONTEXT_DIR": str(tmp_path)}) == ""
