from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.release import KeyDerivation, derive_key

DATA = Path(__file__).parents[2] / "data" / "release"
SALT = "92a631483ca875aad7e2477da755d58cac3876b77d10bcdd7b33bfa11e7d8b8e"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """The public test key of Microsoft's sidecar; see SOURCE.md beside it."""
    key = load_pem_private_key((DATA / "skr_test_key.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Encryption Key", "b2f3b15f155fda82ca0b61395974d96a19a68fa01252ef72e6383dec323be283"),
        ("Symmetric Encryption Key", "8f688fb40b486f68950925847a7ee641d9e2b8270788f487068fcf0fc1d59f92"),
    ],
)
def test_a_key_derives_to_the_known_bytes(key: rsa.RSAPrivateKey, label: str, expected: str) -> None:
    assert derive_key(key, KeyDerivation(SALT, label)).hex() == expected


def test_the_derived_key_depends_on_salt_and_label(key: rsa.RSAPrivateKey) -> None:
    derived = {
        derive_key(key, KeyDerivation(salt=salt, label=label))
        for salt in (SALT, "00")
        for label in ("Symmetric Encryption Key", "Encryption Key")
    }

    assert len(derived) == 4
    assert {len(value) for value in derived} == {32}


@pytest.mark.parametrize("salt", ["", "abc", "salt"])
def test_a_salt_that_is_no_hex_or_missing_is_refused(salt: str) -> None:
    with pytest.raises(ReleasePolicyError, match="salt"):
        KeyDerivation(salt=salt)


def test_a_fresh_derivation_records_a_salt_of_32_bytes() -> None:
    assert len(bytes.fromhex(KeyDerivation.fresh().to_document()["salt"])) == 32
    assert KeyDerivation.fresh() != KeyDerivation.fresh()
