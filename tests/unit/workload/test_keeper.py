import hashlib
import socket

import pytest

from summarizer.attestation.custody import Keeper
from summarizer.attestation.device import REPORT_BYTES, REPORT_DATA
from summarizer.errors import EvidenceError


@pytest.fixture
def channel():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(0.2)
    with near, far:
        yield Keeper(near), far


def report_over(data: bytes) -> bytes:
    report = bytearray(REPORT_BYTES)
    report[REPORT_DATA] = hashlib.sha256(data).digest()
    return bytes(report)


def test_a_report_that_comes_too_late_is_not_taken_for_the_next_one(channel) -> None:
    keeper, far = channel
    with pytest.raises(EvidenceError, match="does not answer"):
        keeper.report(b"first")
    far.send(report_over(b"first"))
    far.send(report_over(b"second"))
    assert keeper.report(b"second") == report_over(b"second")


def test_the_keepers_sentence_is_the_error(channel) -> None:
    keeper, far = channel
    far.send(b"the firmware refused")
    with pytest.raises(EvidenceError, match="the firmware refused"):
        keeper.report(b"data")


def test_a_keeper_that_is_gone_is_an_error(channel) -> None:
    keeper, far = channel
    far.close()
    with pytest.raises(EvidenceError):
        keeper.report(b"data")
