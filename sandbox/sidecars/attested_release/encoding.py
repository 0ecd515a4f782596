"""Base64 in the three spellings of the protocol."""

import base64
import binascii


def to_padded_base64url(data: bytes) -> str:
    """Return url-safe base64 with padding, as the attestation service takes it."""
    return base64.urlsafe_b64encode(data).decode()


def to_base64url(data: bytes) -> str:
    """Return url-safe base64 without padding (RFC 7515 section 2)."""
    return to_padded_base64url(data).rstrip("=")


def from_base64url(text: str) -> bytes:
    """Decode url-safe base64, padded or not.

    Raises:
        ValueError: Not base64.
    """
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not url-safe base64") from error


def from_standard_base64(text: str) -> bytes:
    """Decode padded base64 of the standard alphabet; nothing else, as Go's StdEncoding.

    Raises:
        ValueError: Not base64.
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64 of the standard alphabet with padding") from error


def integer_to_base64url(number: int) -> str:
    """Return a JWK integer (RFC 7518 section 2): big endian, no leading zero bytes."""
    return to_base64url(number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big"))
