import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from attested_release.attestation import WrappingKey
from attested_release.derivation import derive, file_system_key
from attested_release.encoding import from_base64url
from attested_release.errors import ReleaseError
from attested_release.released_key import ReleasedKey, unwrap, unwrap_bytes, verified

DATA = Path(__file__).parents[3] / "data" / "release"
VECTORS = json.loads((DATA / "skr_test_vectors.json").read_text())
SALT = bytes.fromhex("92a631483ca875aad7e2477da755d58cac3876b77d10bcdd7b33bfa11e7d8b8e")
SECRET = bytes(range(32))


def private_der(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def published_key():
    return serialization.load_pem_private_key((DATA / "skr_test_key.pem").read_bytes(), None)


def test_the_published_ciphertext_unwraps_to_the_published_key(published_key):
    ciphertext = from_base64url(VECTORS["ciphertext"])

    assert unwrap_bytes(ciphertext, published_key, "CKM_RSA_AES_KEY_WRAP").hex() == VECTORS["key"]


def test_the_published_ciphertext_does_not_unwrap_with_another_hash(published_key):
    with pytest.raises(ReleaseError, match="does not unwrap"):
        unwrap_bytes(from_base64url(VECTORS["ciphertext"]), published_key, "RSA_AES_KEY_WRAP_256")


def test_the_published_ciphertext_does_not_unwrap_with_another_key(wrapping_key):
    with pytest.raises(ReleaseError, match="does not unwrap"):
        unwrap_bytes(from_base64url(VECTORS["ciphertext"]), wrapping_key, "CKM_RSA_AES_KEY_WRAP")


def test_the_runtime_data_of_a_key_are_the_bytes_that_the_real_sidecar_writes(published_key):
    assert WrappingKey(published_key).runtime_data == VECTORS["runtime_data"].encode()


@pytest.mark.parametrize(
    ("salt", "label", "expected"),
    [
        (SALT, "Encryption Key", "b2f3b15f155fda82ca0b61395974d96a19a68fa01252ef72e6383dec323be283"),
        (SALT, "", "8f688fb40b486f68950925847a7ee641d9e2b8270788f487068fcf0fc1d59f92"),
        (b"", "", "d44aea0db74566c3b1a7898dc7928f924670e5ea940e4f954ca39b13b416e83e"),
    ],
)
def test_a_file_systems_key_is_derived_to_the_known_bytes(published_key, salt, label, expected):
    assert derive(published_key, salt, label).hex() == expected


def test_an_rsa_key_keeps_its_private_exponent_on_the_way(published_key, wrapping_key, sidecar_answers):
    ciphertext = sidecar_answers.wrapped(private_der(published_key), wrapping_key.public_key())

    released = unwrap(sidecar_answers.payload(ciphertext, "RSA-HSM"), wrapping_key)

    assert file_system_key(released, SALT, "Encryption Key") == derive(published_key, SALT, "Encryption Key")


def test_an_oct_key_is_the_file_systems_key(wrapping_key, sidecar_answers):
    ciphertext = sidecar_answers.wrapped(SECRET, wrapping_key.public_key())

    released = unwrap(sidecar_answers.payload(ciphertext), wrapping_key)

    assert file_system_key(released, SALT, "ignored") == SECRET
    assert released.jwk() == {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "key_ops": ["encrypt"]}
    assert "k'" not in repr(released)


def test_an_oct_key_of_another_length_is_refused():
    with pytest.raises(ReleaseError, match="16 bytes"):
        file_system_key(ReleasedKey("oct", bytes(16)), b"", "")


def test_an_ec_key_is_released_but_opens_no_file_system():
    key = ec.generate_private_key(ec.SECP256R1())
    released = ReleasedKey("EC", private_der(key))

    assert released.jwk()["crv"] == "P-256"
    with pytest.raises(ReleaseError, match="type EC"):
        file_system_key(released, b"", "")


def test_an_rsa_key_becomes_a_whole_private_jwk():
    key = rsa.generate_private_key(65537, 2048)

    jwk = ReleasedKey("RSA", private_der(key)).jwk()

    assert set(jwk) == {"kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"}
    assert int.from_bytes(from_base64url(jwk["d"]), "big") == key.private_numbers().d


def test_another_wrapping_algorithm_is_refused(wrapping_key, sidecar_answers):
    with pytest.raises(ReleaseError, match="MY_OWN_WRAP"):
        unwrap(sidecar_answers.payload(b"", algorithm="MY_OWN_WRAP"), wrapping_key)


def test_another_key_type_is_refused(wrapping_key, sidecar_answers):
    with pytest.raises(ReleaseError, match="type DSA is not supported"):
        unwrap(sidecar_answers.payload(b"", kty="DSA"), wrapping_key)


def test_a_statement_without_a_key_is_refused(wrapping_key):
    with pytest.raises(ReleaseError, match="no wrapped key"):
        unwrap({"request": {}}, wrapping_key)


def test_a_statement_that_the_vault_signed_is_believed(authority, sidecar_answers):
    statement = sidecar_answers.signed({"a": 1}, authority)

    assert verified(statement, sidecar_answers.vault) == {"a": 1}


def test_a_statement_of_another_host_is_refused(authority, sidecar_answers):
    statement = sidecar_answers.signed({"a": 1}, authority, "party3.managedhsm.azure.net")

    with pytest.raises(ReleaseError, match=r"not party2\.managedhsm\.azure\.net: hostname mismatch"):
        verified(statement, sidecar_answers.vault)


def test_a_statement_below_an_unknown_root_is_refused_though_it_brings_that_root_along(
    other_authority, sidecar_answers
):
    statement = sidecar_answers.signed({"a": 1}, other_authority)

    with pytest.raises(ReleaseError, match="unable to get local issuer certificate"):
        verified(statement, sidecar_answers.vault)


def test_a_changed_statement_is_refused(authority, sidecar_answers):
    header, _, signature = sidecar_answers.signed({"a": 1}, authority).split(".")
    other = base64.urlsafe_b64encode(b'{"a":2}').rstrip(b"=").decode()

    with pytest.raises(ReleaseError, match="signature"):
        verified(f"{header}.{other}.{signature}", sidecar_answers.vault)


@pytest.mark.parametrize("statement", ["", "a", "a.b", "a.b.c.d", "a.b.c", "e30.e30.e30", "eyJ4NWMiOltdfQ.e30.e30"])
def test_what_is_no_signed_statement_is_refused(statement, sidecar_answers):
    with pytest.raises(ReleaseError, match="statement"):
        verified(statement, sidecar_answers.vault)
