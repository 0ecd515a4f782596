"""The resolver inside a container group knows the names of the sandbox and no others."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.guest.agent import answer

ZONES = ("azurecr.io", "mcr.microsoft.com")
A, AAAA = 1, 28


def query(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def addresses(reply: bytes | None) -> tuple[int, list[str]]:
    """The reply's code and its addresses."""
    assert reply is not None
    number, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", reply[:12])
    assert (number, questions) == (7, 1)
    assert flags & 0x8000
    found = [".".join(map(str, reply[-4:]))] if answers else []
    return flags & 0xF, found


def test_a_name_of_a_zone_is_on_the_loopback_address() -> None:
    assert addresses(answer(query("party1.azurecr.io"), ZONES)) == (0, ["127.0.0.1"])
    assert addresses(answer(query("MCR.microsoft.com"), ZONES)) == (0, ["127.0.0.1"])


def test_a_known_name_has_no_address_of_the_newer_kind() -> None:
    assert addresses(answer(query("party1.azurecr.io", AAAA), ZONES)) == (0, [])


def test_any_other_name_does_not_exist() -> None:
    for name in ("example.org", "azurecr.io.example.org", "notazurecr.io", "microsoft.com"):
        assert addresses(answer(query(name), ZONES)) == (3, [])


@given(st.binary(max_size=600))
def test_what_is_no_question_makes_no_trouble(data: bytes) -> None:
    reply = answer(data, ZONES)
    assert reply is None or reply[:2] == data[:2]
