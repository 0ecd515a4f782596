"""Base64 as the services write it: url-safe, with and without padding."""

import base64
import binascii


def to_base64url(data: bytes) -> str:
    """Return url-safe base64 without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: object) -> bytes:
    """Decode either alphabet, padded or not: the services take all of them.

    Args:
        text: A value out of a request's JSON; only a string can be base64.

    Raises:
        ValueError: Not base64.
    """
    if not isinstance(text, str):
        raise ValueError("not text")
    plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def integer_to_base64url(number: int) -> str:
    """Return a JWK integer (RFC 7518 section 2): big endian, no leading zero bytes."""
    return to_base64url(number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big"))
