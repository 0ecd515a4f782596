"""The server name in a TLS client hello (RFC 8446 section 4.1.2, RFC 6066 section 3), read without decrypting."""

from collections.abc import Iterator

RECORD_HEADER = 5
MAX_RECORD = 16384
"""Longest plaintext record; a client hello of ours fits in one."""

HANDSHAKE_RECORD = 22
CLIENT_HELLO = 1
SERVER_NAME_EXTENSION = 0
HOST_NAME = 0


class NotAClientHello(ValueError):
    """The bytes do not open a TLS connection, or name no server."""


class _Reader:
    """Reads length-prefixed fields; running past the end is a malformed hello."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) != count:
            raise NotAClientHello("the client hello ends early")
        self.position += count
        return chunk

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))

    @property
    def exhausted(self) -> bool:
        return self.position >= len(self.data)


def record_length(header: bytes) -> int:
    """Return how many bytes follow the 5-byte header of the first record.

    Raises:
        NotAClientHello: Not a TLS handshake record.
    """
    length = int.from_bytes(header[3:5], "big")
    if len(header) != RECORD_HEADER or header[0] != HANDSHAKE_RECORD or header[1] != 3 or length > MAX_RECORD:
        raise NotAClientHello("the connection does not begin with a TLS handshake record")
    return length


def server_name(record: bytes) -> str:
    """Return the host name that a client hello asks for.

    Args:
        record: The first TLS record without its header.

    Raises:
        NotAClientHello: Another message, a malformed one, or one without a server name.
    """
    handshake = _Reader(record)
    if handshake.number(1) != CLIENT_HELLO:
        raise NotAClientHello("the first handshake message is no client hello")
    hello = _Reader(handshake.vector(3))
    hello.take(2 + 32)  # legacy version, random
    hello.vector(1)  # legacy session id
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression methods
    for kind, body in _extensions(hello):
        if kind == SERVER_NAME_EXTENSION:
            return _host_name(body)
    raise NotAClientHello("the client hello names no server")


def _extensions(hello: _Reader) -> Iterator[tuple[int, bytes]]:
    if hello.exhausted:
        return
    extensions = _Reader(hello.vector(2))
    while not extensions.exhausted:
        yield extensions.number(2), extensions.vector(2)


def _host_name(body: bytes) -> str:
    names = _Reader(_Reader(body).vector(2))
    while not names.exhausted:
        kind, name = names.number(1), names.vector(2)
        if kind == HOST_NAME and name:
            try:
                return name.decode("ascii")
            except UnicodeDecodeError:
                break
    raise NotAClientHello("the client hello names no server")
