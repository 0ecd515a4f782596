"""Layers as they are stored: gzip, zstd or plain, told by their first bytes and not by what the manifest says."""

from collections.abc import Iterable, Iterator
from typing import cast

import zstandard
from isal import igzip_lib

from confidential_summarizer.errors import ImageError

GZIP, ZSTD, PLAIN = "gzip", "zstd", "none"
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_GZIP_ERRORS: tuple[type[Exception], ...] = (cast("type[Exception]", igzip_lib.IsalError), EOFError)
_OUTPUT = 1 << 20
"""Bytes handed on at once: bounds memory however well the layer compresses."""
_ZSTD_SLICE = 1 << 10
"""Bytes of zstd data taken at once: in the worst case they stand for 32 MiB."""
_MAX_WINDOW = 1 << 27
"""Bytes of a zstd window: the limit that the zstd command keeps by itself, 128 MiB."""


def decompress(chunks: Iterable[bytes]) -> tuple[str, Iterator[bytes]]:
    """Tell the compression and return the tar inside, in chunks of at most 1 MiB unless it was not compressed.

    Raises:
        ImageError: While iterating, when the compressed data are damaged or cut off.
    """
    source = iter(chunks)
    head = bytearray()
    for chunk in source:
        head += chunk
        if len(head) >= len(_ZSTD_MAGIC):
            break
    stored = _prepend(bytes(head), source)
    if head.startswith(_GZIP_MAGIC):
        return GZIP, _gunzip(stored)
    if head.startswith(_ZSTD_MAGIC):
        return ZSTD, _unzstd(stored)
    return PLAIN, stored


def _prepend(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Members one after another count as one stream, as in RFC 1952 section 2.2."""
    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    started = False
    try:
        for chunk in chunks:
            data = chunk
            while data or not (member.needs_input or member.eof):
                if member.eof:
                    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                output = member.decompress(data, _OUTPUT)
                started = True
                if output:
                    yield output
                data = member.unused_data if member.eof else b""
    except _GZIP_ERRORS as error:
        raise ImageError("the layer's gzip data are damaged: push the image again") from error
    if started and not member.eof:
        raise ImageError("the layer's gzip data end too early: push the image again")


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Frames one after another count as one stream; small slices go in, because what comes out of one has no limit."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    frame = decompressor.decompressobj()
    pending, held, started = [], 0, False
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _ZSTD_SLICE):
                data = chunk[start : start + _ZSTD_SLICE]
                while data:
                    if frame.eof:
                        frame = decompressor.decompressobj()
                    started = True
                    pending.append(frame.decompress(data))
                    held += len(pending[-1])
                    data = frame.unused_data if frame.eof else b""
                if held >= _OUTPUT:
                    yield b"".join(pending)
                    pending, held = [], 0
    except zstandard.ZstdError as error:
        raise ImageError("the layer's zstd data are damaged: push the image again") from error
    if started and not frame.eof:
        raise ImageError("the layer's zstd data end too early: push the image again")
    if held:
        yield b"".join(pending)
