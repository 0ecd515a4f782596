import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from azure_sandbox.certificates import CertificateAuthority, server_context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority.open(tmp_path_factory.mktemp("ca"))


def handshake(client_context, server, name):
    """Run a whole handshake in memory and return the name's certificate as the client sees it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    served = server.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, served):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return client.getpeercert()
    raise AssertionError("the handshake does not end")


def test_the_authority_is_made_once(authority):
    again = CertificateAuthority.open(authority.directory)
    assert again.certificate == authority.certificate
    assert (authority.directory / "ca.key").stat().st_mode & 0o777 == 0o600


def test_the_bundle_ends_with_the_sandboxs_own_certificate(authority):
    assert authority.bundle.read_text().endswith(authority.pem)


@pytest.mark.parametrize("name", ["party2.managedhsm.azure.net", "management.azure.com"])
def test_a_client_that_trusts_the_bundle_trusts_every_name_of_the_sandbox(authority, name):
    server = server_context(authority, lambda host: host == name)
    client = ssl.create_default_context(cafile=str(authority.bundle))
    assert handshake(client, server, name)["subjectAltName"] == (("DNS", name),)


def test_a_client_that_does_not_know_the_sandbox_does_not_trust_it(authority):
    server = server_context(authority, lambda host: True)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ssl.create_default_context(), server, "party2.managedhsm.azure.net")


def test_a_name_that_is_not_served_ends_the_handshake(authority):
    server = server_context(authority, lambda host: False)
    client = ssl.create_default_context(cafile=str(authority.bundle))
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name|callback failed"):
        handshake(client, server, "example.org")
    assert not (authority.directory / "leaves" / "example.org.pem").exists()


def test_a_leaf_is_made_once_and_may_cover_a_zone_and_other_names(authority):
    path = authority.leaf("*.azurecr.io", "mcr.microsoft.com")
    before = path.read_bytes()
    assert authority.leaf("*.azurecr.io", "mcr.microsoft.com").read_bytes() == before
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=str(authority.bundle))
    for name in ("party1.azurecr.io", "mcr.microsoft.com"):
        handshake(client, server, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, server, "a.b.azurecr.io")


def test_a_leaf_with_an_rsa_key_is_another_one(authority):
    path = authority.leaf("party2.vault.azure.net", rsa_bits=2048)
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert path != authority.leaf("party2.vault.azure.net")


@pytest.mark.parametrize("name", ["../escape", "UPPER.net", "", "a..b", "a b"])
def test_only_dns_names_get_a_certificate(authority, name):
    with pytest.raises(ValueError, match="DNS name"):
        authority.leaf(name)
