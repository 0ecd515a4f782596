import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_sandbox.snp_report import DEBUG_ALLOWED, SIGNED, SIZE, Report, ReportError, Tcb, parse

KEY = ec.generate_private_key(ec.SECP384R1())

REPORT = Report(
    report_data=bytes(range(64)),
    host_data=bytes(range(32)),
    measurement=bytes(range(48)),
    chip_id=bytes(range(64)),
    reported_tcb=Tcb(3, 0, 8, 115).pack(),
    policy=0x3001F,
)

octets = st.binary
reports = st.builds(
    Report,
    report_data=octets(min_size=64, max_size=64),
    host_data=octets(min_size=32, max_size=32),
    measurement=octets(min_size=48, max_size=48),
    chip_id=octets(min_size=64, max_size=64),
    reported_tcb=st.integers(0, 2**64 - 1),
    policy=st.integers(0, 2**64 - 1),
    guest_svn=st.integers(0, 2**32 - 1),
    vmpl=st.integers(0, 3),
)


@settings(max_examples=25)
@given(reports)
def test_what_was_signed_is_what_is_read(report):
    signed = report.sign(KEY)
    assert len(signed) == SIZE
    assert parse(signed, KEY.public_key()) == report


def test_the_fields_lie_where_amd_puts_them():
    signed = REPORT.sign(KEY)
    assert signed[0:4] == (2).to_bytes(4, "little")
    assert signed[8:16] == (0x3001F).to_bytes(8, "little")
    assert signed[80:144] == REPORT.report_data
    assert signed[144:192] == REPORT.measurement
    assert signed[192:224] == REPORT.host_data
    assert signed[384:392] == bytes.fromhex("0300000000000873")
    assert signed[416:480] == REPORT.chip_id
    assert signed[SIGNED + 144 :] == bytes(SIZE - SIGNED - 144)


@given(st.integers(0, SIGNED + 95))
def test_any_changed_bit_is_noticed(position):
    signed = bytearray(REPORT.sign(KEY))
    signed[position] ^= 0x80
    with pytest.raises(ReportError):
        parse(bytes(signed), KEY.public_key())


def test_another_chips_signature_is_refused():
    with pytest.raises(ReportError, match="not signed"):
        parse(REPORT.sign(ec.generate_private_key(ec.SECP384R1())), KEY.public_key())


def test_wrong_lengths_are_refused():
    with pytest.raises(ReportError, match="1184"):
        parse(bytes(SIZE - 1), KEY.public_key())
    with pytest.raises(ReportError, match="host_data"):
        dataclasses.replace(REPORT, host_data=b"short").sign(KEY)


def test_the_debug_bit_is_bit_19():
    assert DEBUG_ALLOWED == 1 << 19
    assert dataclasses.replace(REPORT, policy=1 << 19).debuggable
    assert not REPORT.debuggable


def test_the_real_versions_pack_as_in_microsofts_sample():
    """The confidential sidecars' sample has reported TCB 0x7308000000000003."""
    assert Tcb(bootloader=3, tee=0, snp=8, microcode=0x73).pack() == 0x7308000000000003
    assert Tcb.unpack(0x7308000000000003) == Tcb(3, 0, 8, 0x73)
