"""Tars made field by field, so that tests can say what no ordinary writer would; and random ones with every feature."""

import random
from dataclasses import dataclass, field

BLOCK = 512
END = bytes(2 * BLOCK)


@dataclass
class Entry:
    """One entry; `format` is ustar, gnu, v7 or star."""

    name: bytes
    type: bytes = b"0"
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_700_000_000
    linkname: bytes = b""
    size: int | None = None
    device: tuple[int, int] = (0, 0)
    prefix: bytes = b""
    format: str = "ustar"
    records: dict[bytes, bytes] = field(default_factory=dict)
    pax_name: bytes | None = None
    times: tuple[int | None, int | None] = (None, None)
    patches: dict[int, bytes] = field(default_factory=dict)
    signed_sum: bool = False
    extensions: bytes = b""
    """Blocks between the header and the data, as old GNU sparse entries have them."""

    def __bytes__(self) -> bytes:
        before = b""
        if self.records:
            before += bytes(Entry(b"PaxHeaders/x", b"x", pax(self.records), mtime=0))
        if self.pax_name is not None:
            before += bytes(Entry(b"././@LongLink", b"L", self.pax_name + b"\0", format="gnu", mtime=0))
        return before + self._header() + self.extensions + padded(self.data)

    def _header(self) -> bytes:
        size = len(self.data) if self.size is None else self.size
        block = bytearray(BLOCK)

        def put(offset: int, value: bytes) -> None:
            block[offset : offset + len(value)] = value

        put(0, self.name[:100])
        put(100, number(self.mode, 8))
        put(108, number(self.uid, 8))
        put(116, number(self.gid, 8))
        put(124, number(size, 12))
        put(136, number(self.mtime, 12))
        put(156, self.type)
        put(157, self.linkname[:100])
        if self.format != "v7":
            put(257, b"ustar  \0" if self.format == "gnu" else b"ustar\x0000")
            put(329, number(self.device[0], 8))
            put(337, number(self.device[1], 8))
            put(345, self.prefix[:155])
        if self.format == "star":
            put(508, b"tar\0")
        for time, offset in zip(self.times, (345, 357) if self.format == "gnu" else (476, 488), strict=True):
            if time is not None:
                put(offset, number(time, 12))
        for offset, value in self.patches.items():
            put(offset, value)
        block[148:156] = b" " * 8
        total = sum(byte - 256 if self.signed_sum and byte > 127 else byte for byte in block)
        put(148, b"%06o\0 " % (total & 0o777777))
        return bytes(block)


def number(value: int, width: int) -> bytes:
    """Octal where it fits, else base-256."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    encoded = bytearray((value % (1 << (8 * width))).to_bytes(width))
    encoded[0] |= 0x80
    return bytes(encoded)


def padded(data: bytes) -> bytes:
    """Data filled up to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def pax(records: dict[bytes, bytes]) -> bytes:
    """The text of a PAX header."""
    return b"".join(record(key, value) for key, value in records.items())


def record(key: bytes, value: bytes) -> bytes:
    """One PAX record, which begins with its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def tar(*entries: Entry | bytes, end: bytes = END) -> bytes:
    """A whole archive."""
    return b"".join(map(bytes, entries)) + end


NAMES = [b"a", b"b", b"c", b"dir", b"\xc3\xa4", b"x" * 60, b"Z.txt", b"\xff\xfe", b".hidden"]
XATTRS = [
    b"user.a", b"user.comment", b"security.capability", b"trusted.x", b"system.posix_acl_access", b"system.other",
    b"system.posix_acl_default", b"noprefix", b"user.very.long.name.of.an.attribute", b"security.selinux", b"user.",
]  # fmt: skip
TIMES = [
    b"0", b"1700000000.5", b"-1.25", b"-100", b"1.999999999999", b"-2147483648", b"-2147483649.5", b"4294967296.75",
    b"15032385535", b"15032385536", b"99999999999", b"-62135596800", b"2147483648", b"-0.5", b"0.000000001",
]  # fmt: skip


class RandomTar:
    """Writes tars that use every feature in turn and in combination; the same seed gives the same bytes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - no secrets here
        self.known: list[bytes] = []
        self.directories: list[bytes] = []

    def make(self) -> bytes:
        """One archive; about half of them are refused by the reference."""
        rng = self.rng
        rude = rng.random() < 0.4
        entries = [self.entry(rude=rude) for _ in range(rng.choice([0, 1, 3, 8, 20]))]
        end = rng.choice([END, END, END, b"", bytes(BLOCK), END + b"trailing" * 100])
        archive = tar(*entries, end=end)
        if rude and rng.random() < 0.2:
            archive = self.damaged(archive)
        return archive

    def damaged(self, archive: bytes) -> bytes:
        """Cut off, or with a byte changed."""
        if not archive:
            return archive
        place = self.rng.randrange(len(archive))
        if self.rng.random() < 0.5:
            return archive[:place]
        return archive[:place] + bytes([self.rng.randrange(256)]) + archive[place + 1 :]

    def entry(self, *, rude: bool) -> Entry | bytes:
        """One entry of a random kind."""
        kinds = ["file"] * 6 + ["dir"] * 4 + ["symlink", "symlink", "hardlink", "hardlink", "device", "fifo", "empty"]
        kinds += ["whiteout", "opaque", "odd", "global", "sparse"]
        entry = getattr(self, self.rng.choice(kinds))(rude=rude)
        return self.decorated(entry) if isinstance(entry, Entry) else entry

    def path(self, *, fresh: bool = True) -> bytes:
        """A new path below known or unknown directories, or a known one."""
        rng = self.rng
        if not fresh and self.known and rng.random() < 0.7:
            return rng.choice(self.known)
        parts = [rng.choice(NAMES) for _ in range(rng.choice([0, 0, 1, 1, 2, 5]))]
        base = rng.choice(self.directories) if self.directories and rng.random() < 0.6 else b"/".join(parts)
        name = rng.choice(NAMES) + (b"%d" % rng.randrange(40) if rng.random() < 0.9 else b"")
        path = (base.rstrip(b"/") + b"/" if base else b"") + name
        if rng.random() < 0.1:
            path = rng.choice([b"./", b"/", b"//", b"x/../", b"../"]) + path
        return path

    def file(self, *, rude: bool) -> Entry:
        """A regular file, sometimes of exactly a block or of many."""
        path = self.path(fresh=not (rude and self.rng.random() < 0.2))
        self.known.append(path)
        size = self.rng.choice([0, 1, 100, 511, 512, 4095, 4096, 4097, 9000, 70_000])
        return Entry(path, data=self.rng.randbytes(size) if self.rng.random() < 0.8 else bytes(size))

    def empty(self, *, rude: bool) -> Entry:
        """An empty file over something else."""
        return Entry(self.path(fresh=not rude))

    def dir(self, *, rude: bool) -> Entry:
        """A directory, new or again."""
        path = self.rng.choice(self.directories) if self.directories and self.rng.random() < 0.3 else self.path()
        if rude and self.rng.random() < 0.1:
            path = b"."
        self.directories.append(path)
        return Entry(path + self.rng.choice([b"", b"/"]), b"5", mode=self.rng.choice([0o755, 0o1777, 0o2770, 0o40700]))

    def symlink(self, *, rude: bool) -> Entry:
        """A symbolic link, short or with its own data block."""
        target = b"t" * self.rng.choice([0, 1, 20, 59, 60, 61, 100])
        path = self.path(fresh=not rude)
        self.known.append(path)
        entry = Entry(path, b"2", linkname=target, size=self.rng.choice([0, 0, 5]))
        if self.rng.random() < 0.2:
            entry.records[b"linkpath"] = b"l" * self.rng.choice([150, 4095, 4096, 5000])
        return entry

    def hardlink(self, *, rude: bool) -> Entry:
        """A hard link, mostly to something there."""
        target = self.rng.choice(self.known) if self.known and self.rng.random() < 0.95 else b"missing"
        path = self.path(fresh=not (rude and self.rng.random() < 0.3))
        self.known.append(path)
        return Entry(path, b"1", linkname=target)

    def device(self, *, rude: bool) -> Entry:
        """A character or block device."""
        return Entry(
            self.path(fresh=not rude),
            self.rng.choice([b"3", b"4"]),
            device=(self.rng.choice([0, 1, 255, 4095, 65537]), self.rng.choice([0, 3, 255, 256, 0xFFFFF])),
        )

    def fifo(self, *, rude: bool) -> Entry:
        """A named pipe."""
        return Entry(self.path(fresh=not rude), b"6")

    def whiteout(self, *, rude: bool) -> Entry:
        """A whiteout of something that is mostly in a lower layer."""
        path = self.path(fresh=not rude)
        folder, _, base = path.rpartition(b"/")
        base = self.rng.choice([base, base, base, b".wh.plnk", b""] if rude else [base])
        return Entry((folder + b"/" if folder else b"") + b".wh." + base, data=b"w" * self.rng.choice([0, 0, 10]))

    def opaque(self, *, rude: bool) -> Entry:
        """An opaque marker in a known directory, or in one that is not there yet."""
        folder = self.rng.choice(self.directories) if self.directories and not rude else self.path()
        return Entry(folder.rstrip(b"/") + b"/.wh..wh..opq")

    def odd(self, *, rude: bool) -> Entry:
        """A type that means nothing to a file system."""
        kinds = [b"7", b"\0", b"V", b"M", b"D", b"X", b"N"]
        return Entry(
            self.path() + (b"/" if rude else b""), self.rng.choice(kinds), data=b"odd" * self.rng.randrange(40)
        )

    def sparse(self, *, rude: bool) -> Entry:
        """A sparse file in any of the four forms."""
        rng = self.rng
        size = rng.choice([0, 1000, 10_000, 300_000])
        fragments: list[tuple[int, int]] = []
        position = 0
        while position < size and len(fragments) < rng.choice([1, 3, 6, 30]):
            offset = position + rng.choice([0, 512, 700, 4096, 8192])
            length = min(rng.choice([1, 512, 4096, 5000]), size - offset)
            if length <= 0:
                break
            fragments.append((offset, length))
            position = offset + length
        if rude and rng.random() < 0.3:
            fragments.append((rng.choice([size, 0, size - 1]), rng.choice([0, 1, 5])))
        data = b"".join(rng.randbytes(length) for _, length in fragments)
        path = self.path()
        self.known.append(path)
        form = rng.choice(["old", "0.0", "0.1", "1.0"])
        return sparse_entry(path, form, size, fragments, data)

    def decorated(self, entry: Entry) -> Entry:
        """The entry with random attributes, in a random format."""
        rng = self.rng
        if entry.type != b"S" and entry.format == "ustar":
            entry.format = rng.choice(["ustar", "ustar", "ustar", "gnu", "v7", "star"])
        entry.uid = rng.choice([0, 0, 1000, 65536, 0x7FFFFFFF])
        entry.gid = rng.choice([0, 0, 100, 70000])
        if entry.mode == 0o644:
            entry.mode = rng.choice([0o644, 0o755, 0o4755, 0o100644, 0o7777, 0])
        entry.mtime = rng.choice([0, 1_700_000_000, -5, 2**31, 2**34, 2**40, -(2**33)])
        if entry.format in {"gnu", "star"} and entry.type != b"S" and rng.random() < 0.4:
            entry.times = (rng.choice([None, 0, 5, -3]), rng.choice([None, 0, 1_600_000_000]))
        if len(entry.name) > 100 or rng.random() < 0.1:
            entry.pax_name = entry.name
        if entry.format in {"ustar", "star"} and rng.random() < 0.1:
            entry.prefix = rng.choice([b"pre", b"pre/fix", b"p" * 120])
        if rng.random() < 0.35:
            self.add_records(entry)
        entry.signed_sum = rng.random() < 0.1
        return entry

    def add_records(self, entry: Entry) -> None:
        """PAX records of every kind."""
        rng = self.rng
        for name in rng.sample(XATTRS, rng.choice([0, 1, 1, 2, 4, 9])):
            value = rng.randbytes(rng.choice([0, 1, 4, 20, 33, 90, 400, 1000]))
            entry.records[b"SCHILY.xattr." + name] = value
        for key in rng.sample([b"mtime", b"atime", b"ctime"], rng.choice([0, 1, 3])):
            entry.records[key] = rng.choice(TIMES)
        if rng.random() < 0.2:
            entry.records[b"uid"] = rng.choice([b"5", b"4294967296", b"-1", b"+7"])
        if rng.random() < 0.2 and entry.type != b"S":
            entry.records[b"path"] = entry.name + rng.choice([b"", b"-pax"])
        if rng.random() < 0.1:
            entry.records[rng.choice([b"comment", b"LIBARCHIVE.xattr.user.b", b"hdrcharset"])] = b"whatever"

    def global_(self) -> bytes:
        """A global PAX header, which becomes a file."""
        records: dict[bytes, bytes] = {b"comment": b"c" * 40}
        if self.rng.random() < 0.4:
            records[b"path"] = self.path()
        if self.rng.random() < 0.3:
            records[b"SCHILY.xattr.user.g"] = b"global"
        name = b"pax_global_header" + (b"%d" % self.rng.randrange(100))
        return bytes(Entry(name, b"g", pax(records), mtime=0))

    def __getattr__(self, name: str) -> object:
        if name == "global":
            return lambda *, rude: self.global_()
        raise AttributeError(name)


def sparse_entry(path: bytes, form: str, size: int, fragments: list[tuple[int, int]], data: bytes) -> Entry:
    """A sparse file: old GNU, or PAX form 0.0, 0.1 or 1.0."""
    if form == "old":
        pairs = [number(offset, 12) + number(length, 12) for offset, length in fragments]
        patches = {386 + 24 * index: pair for index, pair in enumerate(pairs[:4])} | {483: number(size, 12)}
        rest = pairs[4:]
        patches |= {482: b"\1"} if rest else {}
        extensions = b""
        while rest:
            block, rest = rest[:21], rest[21:]
            extensions += b"".join(block).ljust(504, b"\0") + (b"\1" if rest else b"\0") + bytes(7)
        return Entry(path, b"S", data, format="gnu", patches=patches, extensions=extensions)
    records: dict[bytes, bytes] = {}
    flat = b",".join(b"%d,%d" % pair for pair in fragments)
    if form == "1.0":
        records |= {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"%d" % size}
        numbers = [len(fragments), *(value for pair in fragments for value in pair)]
        data = padded(b"".join(b"%d\n" % value for value in numbers)) + data
    else:
        records |= {b"GNU.sparse.size": b"%d" % size, b"GNU.sparse.numblocks": b"%d" % len(fragments)}
        if form == "0.1":
            records |= {b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"1", b"GNU.sparse.map": flat}
    records[b"GNU.sparse.name"] = path
    entry = Entry(b"GNUSparseFile/x", data=data, records=records)
    if form == "0.0":  # repeated keys, which a dictionary cannot hold
        entry.records = {}
        text = pax(records) + b"".join(
            record(b"GNU.sparse.offset", b"%d" % offset) + record(b"GNU.sparse.numbytes", b"%d" % length)
            for offset, length in fragments
        )
        entry.extensions = b""
        return SparseZero(entry, text)
    return entry


class SparseZero(Entry):
    """A sparse file of form 0.0."""

    def __init__(self, entry: Entry, text: bytes) -> None:
        super().__init__(**vars(entry))
        self.text = text

    def __bytes__(self) -> bytes:
        return bytes(Entry(b"PaxHeaders/s", b"x", self.text, mtime=0)) + self._header() + padded(self.data)
