"""What a vault would answer, made here: statements signed below an authority that the environment trusts."""

import base64
import json
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.encoding import to_base64url

VAULT = "party2.managedhsm.azure.net"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return CertificateAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory):
    return CertificateAuthority.open(tmp_path_factory.mktemp("other-authority"))


@pytest.fixture(scope="session")
def wrapping_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(autouse=True)
def trust(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))


@pytest.fixture
def sidecar_answers():
    return SimpleNamespace(vault=VAULT, wrapped=wrapped, payload=payload, signed=signed)


def wrapped(secret, public, algorithm="CKM_RSA_AES_KEY_WRAP"):
    """What a vault makes of key bytes: an AES key under OAEP, the bytes under that (RFC 5649)."""
    digest = {"CKM_RSA_AES_KEY_WRAP": hashes.SHA1, "RSA_AES_KEY_WRAP_256": hashes.SHA256}[algorithm]
    aes_key = bytes(range(32))
    oaep = padding.OAEP(padding.MGF1(digest()), digest(), None)
    return public.encrypt(aes_key, oaep) + keywrap.aes_key_wrap_with_padding(aes_key, secret)


def payload(ciphertext, kty="oct-HSM", algorithm="CKM_RSA_AES_KEY_WRAP"):
    key_hsm = {
        "schema_version": "1.0",
        "header": {"alg": "dir", "enc": algorithm},
        "ciphertext": to_base64url(ciphertext),
    }
    key = {"kty": kty, "key_ops": ["encrypt"], "key_hsm": to_base64url(json.dumps(key_hsm).encode())}
    return {"request": {"enc": algorithm}, "response": {"key": {"key": key}}}


def signed(document, authority, host=VAULT):
    """A compact JWS whose certificate is for `host`."""
    octets = authority.leaf(host, rsa_bits=2048).read_bytes()
    key = serialization.load_pem_private_key(octets, None)
    chain = x509.load_pem_x509_certificates(octets)
    x5c = [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain]
    header = {"alg": "RS256", "kid": "any", "x5c": x5c}
    parts = [to_base64url(json.dumps(part).encode()) for part in (header, document)]
    signature = key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, to_base64url(signature)])
