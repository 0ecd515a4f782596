import base64
import hashlib
import json

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.amd_chain import chip_of, verify_chain
from azure_sandbox.attester import CHIP_ID, MEASUREMENT, TCB, Attester
from azure_sandbox.snp_report import ReportError, parse
from azure_sandbox.uvm_endorsement import EndorsementError, verify


@pytest.fixture(scope="module")
def attester(tmp_path_factory):
    return Attester(tmp_path_factory.mktemp("attester"))


def test_a_guest_can_prove_its_policy_with_what_it_is_given(attester):
    """The walk of a verifier: chain, signature, versions, chip, endorsement."""
    host_data = hashlib.sha256(b"package policy\n").digest()
    certificates = json.loads(base64.b64decode(attester.host_amd_cert_base64))
    chain = (certificates["vcekCert"] + certificates["certificateChain"]).encode()
    chip = verify_chain(chain, attester.chain.root)
    report = parse(attester.report(bytes(64), host_data), chip.public_key())
    assert report.host_data == host_data
    assert chip_of(chip) == (TCB, CHIP_ID)
    assert f"{report.reported_tcb:016x}" == certificates["tcbm"].lower()
    statement = base64.b64decode(attester.reference_info_base64)
    assert verify(statement, attester.uvm_signer.issuer).measurement == MEASUREMENT.hex()


def test_a_second_process_is_the_same_chip(attester, tmp_path_factory):
    directory = tmp_path_factory.mktemp("same")
    first, second = Attester(directory), Attester(directory)
    assert first.chain.chip == second.chain.chip
    assert first.uvm_signer.issuer == second.uvm_signer.issuer
    assert first.uvm_signer.issuer != attester.uvm_signer.issuer


def test_a_chain_to_another_root_is_refused(attester, tmp_path):
    other = Attester(tmp_path)
    chain = (other.chain.chip_pem + other.chain.authorities_pem).encode()
    with pytest.raises(ReportError, match="ARK"):
        verify_chain(chain, attester.chain.root)


def test_a_chip_signed_by_another_signer_is_refused(attester, tmp_path):
    other = Attester(tmp_path)
    chain = (other.chain.chip_pem + attester.chain.authorities_pem).encode()
    with pytest.raises(ReportError, match="signature"):
        verify_chain(chain, attester.chain.root)


def test_the_endorsement_has_the_form_of_microsofts(attester):
    tagged = cbor2.loads(base64.b64decode(attester.reference_info_base64))
    protected = cbor2.loads(tagged.value[0])
    assert tagged.tag == 18
    assert (protected[1], protected[3], protected["feed"]) == (-38, "application/json", "ContainerPlat-AMD-UVM")
    assert protected["iss"].endswith("::eku:1.3.6.1.4.1.311.76.59.1.2")
    assert len(tagged.value[3]) == 384


@pytest.mark.parametrize("part", [0, 2, 3])
def test_a_changed_endorsement_is_refused(attester, part):
    tagged = cbor2.loads(base64.b64decode(attester.reference_info_base64))
    parts = list(tagged.value)
    parts[part] = parts[part][:-1] + bytes([parts[part][-1] ^ 1])
    with pytest.raises(EndorsementError):
        verify(cbor2.dumps(cbor2.CBORTag(18, parts)), attester.uvm_signer.issuer)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_endorsement_are_refused(octets):
    with pytest.raises(EndorsementError):
        verify(octets, "did:x509:0:sha256:x::eku:1.3.6.1.4.1.311.76.59.1.2")
