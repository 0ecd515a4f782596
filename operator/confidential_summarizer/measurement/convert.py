"""From a layer's tar to its file system: what each entry does, whiteouts included.

Whiteouts follow the overlay convention (Linux `Documentation/filesystems/overlayfs.rst`): a character device 0:0 hides
a file, the attribute `trusted.overlay.opaque` hides what a directory held in lower layers.
"""

from collections.abc import Callable

from confidential_summarizer.measurement import ext4_format as ext4
from confidential_summarizer.measurement.ext4_format import Node, encode_time
from confidential_summarizer.measurement.ext4_writer import Ext4Writer, Path, clean
from confidential_summarizer.measurement.limits import IN_PROCESS, Limits
from confidential_summarizer.measurement.pax import xattrs
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.tar_header import DIRECTORY, HARD_LINK, Header
from confidential_summarizer.measurement.tar_reader import TarReader
from confidential_summarizer.measurement.verity import BlockSink

_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_TYPES = {
    b"2": ext4.SYMLINK,
    b"3": ext4.CHARACTER,
    b"4": ext4.BLOCK_DEVICE,
    b"5": ext4.DIRECTORY,
    b"6": ext4.FIFO,
}
"""Every other type becomes a regular file, global PAX headers among them."""

MissingParent = Callable[[bytes], None]


def convert(
    stream: ByteStream,
    sink: BlockSink,
    on_missing_parent: MissingParent = lambda _: None,
    limits: Limits = IN_PROCESS,
) -> None:
    """Write the file system of a layer.

    Args:
        stream: The uncompressed tar; it is read up to the tar's own end.
        sink: Takes the blocks of the file system.
        on_missing_parent: Called with each path whose parent directory has no entry before it. Hosts with an older
            converter give such a
            directory the current time, so the layer has another hash there each time.
        limits: How many entries there may be.

    Raises:
        UnhashableLayer: The reference refuses the layer too.
        BeyondLimits: There are more entries, or files, than allowed.
    """
    reader, writer = TarReader(stream), Ext4Writer(sink, limits)
    given: set[tuple[bytes, ...]] = {()}
    entries = 0
    while (header := reader.next()) is not None:
        entries += 1
        limits.check_entries(entries)
        path = clean(header.name)
        if path[:-1] not in given:
            on_missing_parent(header.name)
        if header.type == DIRECTORY:
            given.add(path)
        _apply(header, path, reader, writer)
    writer.close()


def _apply(header: Header, path: Path, reader: TarReader, writer: Ext4Writer) -> None:
    writer.make_parents(path)
    directory, slash, base = header.name.rpartition(b"/")
    if base == _OPAQUE:
        node = writer.stat(path[:-1])
        node.xattrs = node.xattrs | {b"trusted.overlay.opaque": b"y"}
        writer.create(path[:-1], node)
    elif base.startswith(_WHITEOUT):
        writer.create(clean(directory + slash + base[len(_WHITEOUT) :]), Node(ext4.CHARACTER))
    elif header.type == HARD_LINK:
        writer.link(clean(header.linkname), path)
    else:
        kind = _TYPES.get(header.type, ext4.REGULAR)
        writer.create(path, _node(header, kind))
        if kind == ext4.REGULAR:
            reader.read_data(header, writer.write, writer.write_zeros)
            writer.finish_file()


def _node(header: Header, kind: int) -> Node:
    return Node(
        mode=header.mode & ext4.PERMISSIONS | kind,
        uid=header.uid,
        gid=header.gid,
        mtime=encode_time(header.mtime),
        atime=encode_time(header.atime),
        ctime=encode_time(header.ctime),
        size=header.size,
        target=header.linkname,
        device_major=header.device_major,
        device_minor=header.device_minor,
        xattrs=xattrs(header.records),
    )
