"""What single features of tars mean; values come from the reference converter."""

import gzip
import random
from collections.abc import Callable

import pytest
import zstandard

from confidential_summarizer.errors import ImageError, UnhashableLayer
from confidential_summarizer.measurement.layer import measure_layer
from confidential_summarizer.measurement.pax import decimal, parse_time
from confidential_summarizer.measurement.tar_header import number
from tests.support.images import root_hash
from tests.support.tars import END, Entry, pax, sparse_entry, tar

CASES = {
    "a hard link to something missing": (tar(Entry(b"a", b"1", linkname=b"nothing")), "file not found"),
    "a directory over a file": (tar(Entry(b"a"), Entry(b"a", b"5")), "cannot replace a file with a directory"),
    "a file over a directory": (tar(Entry(b"a", b"5"), Entry(b"a")), "cannot replace a directory with a file"),
    "a whiteout of a directory": (tar(Entry(b"a", b"5"), Entry(b".wh.a")), "cannot replace a directory with a file"),
    "a whiteout of a file": (
        tar(Entry(b"a", data=b"x"), Entry(b".wh.a")),
        "cannot overwrite file with non-inline data",
    ),
    "a path below a file": (tar(Entry(b"a", data=b"x"), Entry(b"a/b")), "path not found"),
    "a name of 256 bytes": (tar(Entry(b"x", pax_name=b"n" * 256)), "invalid name"),
    "attributes beyond a block": (
        tar(Entry(b"a", records={b"SCHILY.xattr.user.%d" % n: bytes(2000) for n in range(3)})),
        "could not fit xattr",
    ),
    "a wrong checksum": (tar(bytes(Entry(b"a"))[:-1] + b"\1"), "invalid tar header"),
    "a tar cut in a header": (bytes(Entry(b"a"))[:100], "unexpected EOF"),
    "a tar cut in a file": (bytes(Entry(b"a", data=bytes(5000)))[:2000], "unexpected EOF"),
    "a negative size": (tar(Entry(b"a", records={b"size": b"-1"})), "negative"),
    "a file beyond 128 GiB": (tar(Entry(b"a", size=(128 << 30) + 1)), "too big"),
    "one zero block before an entry": (bytes(512) + tar(Entry(b"a")), "zero block"),
    "a PAX record longer than its header": (tar(Entry(b"x", b"x", b"99 a=b\n"), Entry(b"a")), "wrong length"),
    "a PAX key with a zero byte": (tar(Entry(b"x", b"x", pax({b"a\0b": b"c"})), Entry(b"a")), "key=value"),
    "a long name of more than a mebibyte": (tar(Entry(b"L", b"L", bytes(1 << 21), format="gnu")), "too long"),
    "sparse parts that overlap": (tar(sparse_entry(b"s", "0.1", 100, [(0, 50), (20, 50)], bytes(100))), "does not fit"),
    "sparse data that are missing": (tar(sparse_entry(b"s", "0.1", 100, [(0, 50)], b"")), "non-existent"),
    "sparse data left over": (tar(sparse_entry(b"s", "0.1", 100, [(0, 50)], bytes(60))), "unreferenced"),
    "a sparse entry in USTAR format": (tar(Entry(b"s", b"S")), "not in GNU format"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_reference_refuses_is_refused(case: str) -> None:
    data, cause = CASES[case]
    with pytest.raises(UnhashableLayer, match=cause):
        root_hash(data)


def test_all_forms_of_a_sparse_file_hash_like_the_file_itself() -> None:
    parts = [(512, 512), (4096, 700), (20_000, 1), *((30_000 + 1000 * n, 3) for n in range(30))]
    data = b"".join(bytes([65 + n % 26]) * length for n, (_, length) in enumerate(parts))
    whole = bytearray(100_000)
    position = 0
    for offset, length in parts:
        whole[offset : offset + length] = data[position : position + length]
        position += length
    plain = root_hash(tar(Entry(b"s", data=bytes(whole))))
    for form in ("0.0", "0.1", "1.0", "old"):
        assert root_hash(tar(sparse_entry(b"s", form, len(whole), parts, data))) == plain, form


def test_a_hole_of_a_hundred_gibibytes_takes_no_time_and_is_refused_as_unindexable() -> None:
    with pytest.raises(UnhashableLayer, match="42 GiB"):
        root_hash(tar(sparse_entry(b"s", "0.1", 100 << 30, [(0, 1)], b"x")))


def test_bytes_after_the_end_change_the_diff_id_and_not_the_hash() -> None:
    entry = Entry(b"a", data=b"hello")
    one, other = measure_layer([tar(entry)]), measure_layer([tar(entry) + b"anything"])
    assert one.root_hash == other.root_hash
    assert one.diff_id != other.diff_id


def test_a_cut_in_the_padding_of_the_last_file_is_an_end() -> None:
    data = bytes(Entry(b"a", data=b"hello"))
    assert root_hash(data[: 512 + 5]) == root_hash(data + END)


@pytest.mark.parametrize("compression", ["none", "gzip", "gzip in members", "zstd", "zstd in frames"])
def test_a_layer_measures_the_same_however_it_is_compressed(compression: str) -> None:
    data = tar(*(Entry(b"f%d" % n, data=bytes([n]) * 5000) for n in range(50)))
    half = len(data) // 2
    stored = {
        "none": data,
        "gzip": gzip.compress(data),
        "gzip in members": gzip.compress(data[:half]) + gzip.compress(data[half:]),
        "zstd": zstandard.compress(data),
        "zstd in frames": zstandard.compress(data[:half]) + zstandard.compress(data[half:]),
    }[compression]
    measured = measure_layer(stored[start : start + 777] for start in range(0, len(stored), 777))
    assert (measured.root_hash, measured.size) == (root_hash(data), len(data))
    assert measured.compression == compression.split()[0]
    assert measured.diff_id == measure_layer([data]).diff_id


LARGE = tar(*(Entry(b"f%d" % n, data=random.Random(n).randbytes(10_000)) for n in range(50)))  # noqa: S311 - no secrets here


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_compressed_data_that_end_too_early_are_refused(compress: Callable[[bytes], bytes], kept: float) -> None:
    stored = compress(LARGE)
    with pytest.raises(ImageError, match=r"end too early|unexpected EOF"):
        measure_layer([stored[: int(len(stored) * kept)]])


def test_damaged_gzip_data_are_refused() -> None:
    stored = bytearray(gzip.compress(LARGE))
    stored[len(stored) // 2] ^= 0xFF
    with pytest.raises(ImageError):
        measure_layer([bytes(stored)])


def test_what_follows_gzip_data_must_be_gzip_too() -> None:
    with pytest.raises(ImageError, match="damaged"):
        measure_layer([gzip.compress(LARGE) + b"not gzip at all"])


def test_entries_without_an_entry_for_their_directory_are_counted() -> None:
    measured = measure_layer([tar(Entry(b"a/", b"5"), Entry(b"a/x"), Entry(b"b/x"), Entry(b"b/", b"5"), Entry(b"b/y"))])
    assert (measured.missing_parents, measured.examples) == (1, ("b/x",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b" 644 \0  ", 0o644),
        (b"\0" * 8, 0),
        (b"\x80" + bytes(6) + b"\x05", 5),
        (b"\xff" * 8, -1),
        (b"\xff" * 7 + b"\xfb", -5),
    ],
)
def test_numbers_are_octal_or_binary(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize("field", [b"0000648\0", b"-1\0\0\0\0\0\0", b"\xbf" + b"\xff" * 11])
def test_what_is_no_number_is_refused(field: bytes) -> None:
    with pytest.raises(UnhashableLayer):
        number(field)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b"100", (100, 0)),
        (b"100.", (100, 0)),
        (b"1.5", (1, 500_000_000)),
        (b"-100.25", (-101, 750_000_000)),
        (b"-0.5", (-1, 500_000_000)),
        (b"0.1234567899", (0, 123_456_789)),
    ],
)
def test_times_have_nanoseconds_and_a_sign(text: bytes, time: tuple[int, int]) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("text", [b"", b"x", b"1.x", b".5", b"1_0", b"9" * 30, b"0x10"])
def test_what_is_no_time_is_refused(text: bytes) -> None:
    with pytest.raises(UnhashableLayer):
        parse_time(text)


def test_a_decimal_of_any_length_is_read_without_delay() -> None:
    assert decimal(b"0" * 100_000 + b"7") == 7
    with pytest.raises(UnhashableLayer):
        decimal(b"9" * 1_000_000)
