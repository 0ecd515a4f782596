"""A tar read as one stream, entry by entry, with the meaning that Go's `archive/tar` gives it."""

from collections.abc import Callable

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement import pax, sparse
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.tar_header import (
    BLOCK,
    DIRECTORY,
    GNU_SPARSE,
    OLD_REGULAR,
    PAX_GLOBAL,
    REGULAR,
    WITHOUT_DATA,
    Header,
    malformed,
    parse_header,
)

_MAX_SPECIAL = 1 << 20
"""Bytes of a PAX header or a GNU long name; Go's limit."""
_ZERO_BLOCK = bytes(BLOCK)


class EndOfTar(Exception):
    """The stream ended where an end is fine."""


class TarReader:
    """Reads entries with `next`; `read_data` gives the data of the latest one until the following `next`."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._fragments: sparse.Fragments | None = None

    def next(self) -> Header | None:
        """The next entry; None at the end of the archive.

        Raises:
            UnhashableLayer: The tar is malformed or cut off.
        """
        records: pax.Records = {}
        long_name = long_link = b""
        try:
            while True:
                header, block, kind = self._next_header()
                match header.type:
                    case b"x" | b"g":
                        records = pax.parse_records(self._read_special())
                        if header.type == PAX_GLOBAL:
                            return _global_entry(header, records)
                    case b"L":
                        long_name = self._read_special().partition(b"\0")[0]
                    case b"K":
                        long_link = self._read_special().partition(b"\0")[0]
                    case _:
                        if records:
                            pax.apply_records(header, records)
                        header.name = long_name or header.name
                        header.linkname = long_link or header.linkname
                        if header.type == OLD_REGULAR:
                            header.type = DIRECTORY if header.name.endswith(b"/") else REGULAR
                        self._expect_data(header)
                        self._expect_sparse(header, block, kind)
                        return header
        except EndOfTar:
            return None

    def read_data(
        self, header: Header, write: Callable[[memoryview], None], write_zeros: Callable[[int], None]
    ) -> None:
        """Hand over the latest entry's content, `header.size` bytes; holes of sparse files go to `write_zeros`.

        Raises:
            UnhashableLayer: The tar holds less or more than the entry says.
        """
        if self._fragments is None:
            self._copy(header.size if header.type not in WITHOUT_DATA else 0, write)
            return
        position = 0
        for offset, length in self._fragments:
            if not length:
                continue
            if offset > position:
                write_zeros(offset - position)
            if length > self._left:
                raise UnhashableLayer("archive/tar: sparse file references non-existent data")
            self._copy(length, write)
            position = offset + length
        if header.size > position:
            write_zeros(header.size - position)
        if self._left:
            raise UnhashableLayer("archive/tar: sparse file contains unreferenced data")

    def _next_header(self) -> tuple[Header, bytes, str]:
        if self._left and self._stream.skip(self._left) < self._left:
            raise UnhashableLayer("unexpected EOF")
        # Go takes a stream that ends within the padding of the last entry for a whole one.
        if self._padding and self._stream.skip(self._padding) < self._padding:
            raise EndOfTar
        self._left = self._padding = 0
        block = self._header_block()
        if block == _ZERO_BLOCK:
            if self._header_block() == _ZERO_BLOCK:
                raise EndOfTar
            raise malformed("one zero block stands before another entry")
        header, kind = parse_header(block)
        self._expect_data(header)
        return header, block, kind

    def _header_block(self) -> bytes:
        block = self._stream.read(BLOCK)
        if not block:
            raise EndOfTar
        if len(block) < BLOCK:
            raise UnhashableLayer("unexpected EOF")
        return block

    def _expect_data(self, header: Header) -> None:
        self._left = 0 if header.type in WITHOUT_DATA else header.size
        if self._left < 0:
            raise malformed("a size is negative")
        self._padding = -self._left % BLOCK
        self._fragments = None

    def _expect_sparse(self, header: Header, block: bytes, kind: str) -> None:
        if header.type == GNU_SPARSE:
            fragments = sparse.old_gnu_fragments(header, block, kind, self._raw_block)
        elif not header.records:
            return
        else:
            version = sparse.pax_version(header.records)
            if version is None:
                return
            sparse.apply_pax_name_and_size(header)
            if version == "data":
                fragments = sparse.leading_fragments(self._data_block)
            else:
                fragments = sparse.mapped_fragments(header.records)
        if header.type in WITHOUT_DATA:
            raise malformed("an entry without data is sparse")
        sparse.check(fragments, header.size)
        self._fragments = fragments

    def _raw_block(self) -> bytes:
        block = self._stream.read(BLOCK)
        if len(block) < BLOCK:
            raise UnhashableLayer("unexpected EOF")
        return block

    def _data_block(self) -> bytes:
        if self._left < BLOCK:
            raise UnhashableLayer("unexpected EOF")
        self._left -= BLOCK
        return self._raw_block()

    def _read_special(self) -> bytes:
        if self._left > _MAX_SPECIAL:
            raise UnhashableLayer("archive/tar: header field too long")
        data = bytearray()
        self._copy(self._left, data.extend)
        return bytes(data)

    def _copy(self, count: int, write: Callable[[memoryview], None]) -> None:
        for piece in self._stream.pieces(count):
            self._left -= len(piece)
            count -= len(piece)
            write(piece)
        if count:
            raise UnhashableLayer("unexpected EOF")


def _global_entry(header: Header, records: pax.Records) -> Header:
    """Go hands a global header on as an entry, so the reference makes an empty file of it."""
    pax.apply_records(header, records)
    return Header(name=header.name, type=header.type, records=records)
