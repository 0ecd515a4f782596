import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.network.client_hello import RECORD_HEADER, NotAClientHello, record_length, server_name


def client_hello(name):
    """The first bytes that OpenSSL sends."""
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", ["party2.managedhsm.azure.net", "a.blob.core.windows.net"])
def test_the_name_that_openssl_asks_for_is_read(name):
    hello = client_hello(name)
    assert record_length(hello[:RECORD_HEADER]) == len(hello) - RECORD_HEADER
    assert server_name(hello[RECORD_HEADER:]) == name


def test_an_address_instead_of_a_name_is_no_name():
    with pytest.raises(NotAClientHello, match="names no server"):
        server_name(client_hello("127.0.0.1")[RECORD_HEADER:])


@given(st.integers(min_value=0, max_value=400))
def test_a_hello_cut_short_is_refused(length):
    whole = client_hello("party2.managedhsm.azure.net")[RECORD_HEADER:]
    if length < len(whole):
        with pytest.raises(NotAClientHello):
            server_name(whole[:length])


@given(st.binary(max_size=600))
def test_any_other_bytes_are_refused_and_nothing_else_happens(octets):
    with contextlib.suppress(NotAClientHello):
        assert server_name(octets)


@pytest.mark.parametrize(
    "header", [b"GET /", b"\x15\x03\x01\x00\x02", b"\x16\x02\x00\x00\x10", b"\x16\x03\x01\xff\xff", b""]
)
def test_what_does_not_begin_like_tls_is_refused(header):
    with pytest.raises(NotAClientHello):
        record_length(header)
