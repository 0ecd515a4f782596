"""Key files on the data owner's machine."""

import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from confidential_summarizer.azure.vault import KeyMaterial
from confidential_summarizer.errors import SealingError
from confidential_summarizer.release import KeyDerivation, derive_key
from confidential_summarizer.sealing import create_key_file, is_private, new_key, read_key

OCT, RSA = "oct-HSM", "RSA-HSM"

RSA_BITS = 3072
"""NIST's 128-bit level; Managed HSM and Premium vaults both take it."""

_FINGERPRINT_PREFIX = b"confidential-summarizer key fingerprint\0"
"""Keeps the fingerprint from being the plain hash of the key, should another program publish that."""


def write_new_key(file: Path, kty: str, label: str) -> dict[str, object]:
    """Write a new key for `csum seal --key`; return what was written, without any secret.

    Args:
        file: The 32 bytes. For RSA-HSM beside it FILE.pem, the RSA key to import, and FILE.json, the derivation.
        kty: oct-HSM or RSA-HSM.
        label: Label of the derivation, for RSA-HSM.

    Raises:
        SealingError: A file exists or cannot be written; no other file is left then.
    """
    if kty == OCT:
        create_key_file(file, new_key())
        return {"key": str(file), "kty": kty}
    private = rsa.generate_private_key(65537, RSA_BITS)
    derivation = KeyDerivation.fresh(label)
    pem = file.with_name(f"{file.name}.pem")
    contents = {
        pem: private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        file.with_name(f"{file.name}.json"): (json.dumps(derivation.to_document()) + "\n").encode(),
        file: derive_key(private, derivation),
    }
    written: list[Path] = []
    try:
        for path, content in contents.items():
            create_key_file(path, content)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return {"key": str(file), "kty": kty, "rsaKey": str(pem), "derivation": derivation.to_document()}


def describe_file(file: Path, *, as_hex: bool) -> dict[str, object]:
    """Return the facts of a key file; its bytes only if they were asked for.

    Raises:
        SealingError: The file holds no key.
    """
    key = read_key(file)
    facts: dict[str, object] = {
        "key": str(file),
        "bytes": len(key),
        "private": is_private(file),
        "fingerprint": hashlib.sha256(_FINGERPRINT_PREFIX + key).hexdigest()[:16],
    }
    return {**facts, "hex": key.hex()} if as_hex else facts


def key_material(file: Path, kty: str) -> KeyMaterial:
    """Read what is to be imported: 32 raw bytes for oct-HSM, a PEM file for RSA-HSM.

    Raises:
        SealingError: The file does not hold such a key.
    """
    if kty == OCT:
        return read_key(file)
    try:
        private = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise SealingError(
            f"{file} holds no RSA key in PEM without a password. `csum key new --kty RSA-HSM` writes one, FILE.pem; "
            "the 32 bytes beside it are derived from it and cannot be imported."
        ) from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise SealingError(f"{file} holds a key of another kind than RSA.")
    return private
