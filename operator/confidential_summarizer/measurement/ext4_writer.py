"""A compact ext4 file system, written front to back while its files arrive, as the reference converter writes it."""

import struct

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement import ext4_format as ext4
from confidential_summarizer.measurement import xattrs
from confidential_summarizer.measurement.ext4_format import BLOCK, Node
from confidential_summarizer.measurement.ext4_tables import write_tables
from confidential_summarizer.measurement.limits import IN_PROCESS, Limits
from confidential_summarizer.measurement.verity import BlockSink

_SIZE, _LINKS, _BLOCKS, _FLAGS, _BLOCK_FIELD, _ACL, _AREA = 4, 26, 28, 32, 40, 104, 152
_U16, _U32, _CONTENT = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<II4x60s")

Path = tuple[bytes, ...]
"""Components from the root; the root itself is empty."""
_NOT_NAMES = frozenset({b"", b".", b".."})


def clean(path: bytes) -> Path:
    """Split a path of a tar into components, resolving `.` and `..` by their text alone."""
    split = tuple(path.split(b"/"))
    if _NOT_NAMES.isdisjoint(split):
        return split
    parts: list[bytes] = []
    for part in split:
        if part == b"..":
            del parts[-1:]
        elif part not in _NOT_NAMES:
            parts.append(part)
    return tuple(parts)


class Ext4Writer:
    """Creates files in the order in which a tar names them; `close` writes what can only be known at the end.

    The inode table is held in its form on disk, 256 bytes an inode, so that memory stays small with many files.
    """

    def __init__(self, sink: BlockSink, limits: Limits = IN_PROCESS) -> None:
        self._sink = sink
        self._limits = limits
        self._table = bytearray(ext4.FIRST_INODE * ext4.INODE_SIZE)[: (ext4.FIRST_INODE - 1) * ext4.INODE_SIZE]
        self._children: dict[int, dict[bytes, int]] = {ext4.ROOT_INODE: {}}
        self._attribute_blocks: dict[int, bytes] = {}
        self._known_parent: tuple[Path, int] = ((), ext4.ROOT_INODE)
        self._data = bytearray()
        self._file = self._file_start = 0
        for _ in range(ext4.FIRST_DATA_BLOCK):  # the superblock and the group descriptors come at the end
            sink.append_replaceable(bytes(BLOCK))
        self._store(ext4.ROOT_INODE, Node(ext4.DIRECTORY | 0o755), links=2)
        self.create((b"lost+found",), Node(ext4.DIRECTORY | 0o700))

    def make_parents(self, path: Path) -> None:
        """Create the directories above a path that are missing, each as a copy of the one above it.

        Raises:
            UnhashableLayer: Something else than a directory is in the way.
        """
        parents = path[:-1]
        if parents == self._known_parent[0]:
            return
        current = ext4.ROOT_INODE
        for name in parents:
            known = self._child(current, name)
            current = self._create(current, name, None, self._copy_of(current)) if known is None else known
        self._directory(current)
        self._known_parent = (parents, current)

    def create(self, path: Path, node: Node) -> None:
        """Create a file, or give an existing one new attributes; a regular file's data follow through `write`.

        Raises:
            UnhashableLayer: The reference cannot put this file over the one that is there.
        """
        if not path:  # the root is its own parent, without a name
            self._create(ext4.ROOT_INODE, b"", ext4.ROOT_INODE, node)
            return
        parent = self._lookup(path[:-1])
        self._create(parent, path[-1], self._child(parent, path[-1]), node)

    def stat(self, path: Path) -> Node:
        """The attributes of an existing file, as the reference reads them back, with all its extended attributes.

        Raises:
            UnhashableLayer: There is no such file.
        """
        inode = self._lookup(path)
        node = self._copy_of(inode)
        end = inode * ext4.INODE_SIZE
        inside = xattrs.read_area(bytes(self._table[end - xattrs.IN_INODE_AREA : end]))
        node.xattrs = xattrs.read_block(self._attribute_blocks.get(inode, b"")) | inside
        return node

    def link(self, target: Path, path: Path) -> None:
        """Give an existing file a second name.

        Raises:
            UnhashableLayer: The target is missing or a directory, or the name would orphan another file.
        """
        if not path:
            raise UnhashableLayer("the root cannot be a file: cannot orphan existing file or directory")
        parent, name = self._lookup(path[:-1]), path[-1]
        old = self._child(parent, name)
        if old is not None and (self._is_directory(old) or self._links(old) < 2):
            raise UnhashableLayer(f"{_text(b'/'.join(path))}: cannot orphan existing file or directory")
        inode = self._lookup(target)
        if self._is_directory(inode):
            raise UnhashableLayer(f"{_text(b'/'.join(path))}: cannot link a directory")
        if self._links(inode) >= ext4.MAX_LINKS:
            raise UnhashableLayer(f"{_text(b'/'.join(path))}: exceeded the maximum link count")
        if old is not None:
            self._add_links(old, -1)
        self._add_links(inode, 1)
        self._children[parent][name] = inode

    def write(self, data: memoryview | bytes) -> None:
        """Add data to the file created last."""
        view = memoryview(data)
        if self._data:
            taken = view[: BLOCK - len(self._data)]
            self._data += taken
            view = view[len(taken) :]
            self._flush_full_block()
        whole = len(view) // BLOCK * BLOCK
        if whole:
            self._reserve(whole // BLOCK)
            self._sink.append(view[:whole])
        self._data += view[whole:]

    def write_zeros(self, count: int) -> None:
        """Add a hole of `count` bytes to the file created last."""
        if self._data:
            fill = min(count, BLOCK - len(self._data))
            self._data += bytes(fill)
            count -= fill
            self._flush_full_block()
        self._reserve(count // BLOCK)
        self._sink.append_zeros(count // BLOCK)
        self._data += bytes(count % BLOCK)

    def finish_file(self) -> None:
        """End the data of the file created last."""
        if self._data:
            self._reserve(1)
            self._sink.append(self._data.ljust(BLOCK, b"\0"))
            self._data.clear()
        self._set_extents(self._file, self._file_start)

    def close(self) -> None:
        """Write directories, inodes, bitmaps, group descriptors and the superblock.

        Raises:
            UnhashableLayer: The file system would be larger than 128 GiB.
        """
        directories = self._write_directories()
        write_tables(self._sink, self._table, directories)

    def _flush_full_block(self) -> None:
        if len(self._data) == BLOCK:
            self._reserve(1)
            self._sink.append(bytes(self._data))
            self._data.clear()

    def _create(self, parent: int, name: bytes, old: int | None, node: Node) -> int:
        kind = node.mode & ext4.TYPE_MASK or ext4.REGULAR
        if old is not None:
            self._check_replaceable(old, kind, name)
            if not self._is_directory(old) and self._links(old) >= 2:
                self._add_links(old, -1)
                old = None
        elif kind == ext4.DIRECTORY and self._links(parent) >= ext4.MAX_LINKS:
            raise UnhashableLayer(f"{_text(name)}: exceeded the maximum link count")
        if kind == ext4.REGULAR and node.size > ext4.MAX_FILE:
            raise UnhashableLayer(f"{_text(name)}: file too big")
        inode = old or len(self._table) // ext4.INODE_SIZE + 1
        links = self._links(old) if old else 2 if kind == ext4.DIRECTORY else 1
        node.mode = node.mode & ext4.PERMISSIONS | kind | (0o777 if kind == ext4.SYMLINK else 0)
        self._store(inode, node, links)
        if old is None:
            self._children[parent][name] = inode
            if kind == ext4.DIRECTORY:
                self._children[inode] = {}
                self._add_links(parent, 1)
        self._file, self._file_start = inode, self._sink.count
        if kind != ext4.REGULAR:
            self._write_content(inode, node, kind)
        return inode

    def _check_replaceable(self, old: int, kind: int, name: bytes) -> None:
        if self._is_directory(old) != (kind == ext4.DIRECTORY):
            wrong = "a directory with a file" if self._is_directory(old) else "a file with a directory"
            raise UnhashableLayer(f"{_text(name)}: cannot replace {wrong}")
        if not self._is_directory(old) and self._links(old) < 2 and self._field(old, _FLAGS) & ext4.EXTENTS:
            raise UnhashableLayer(f"{_text(name)}: cannot overwrite file with non-inline data")

    def _store(self, inode: int, node: Node, links: int) -> None:
        """Write the inode without content; an attribute block goes out now, before the file's data."""
        self._limits.check_entries(inode - ext4.FIRST_INODE)  # a tar of a mebibyte can name half as many directories
        start = (inode - 1) * ext4.INODE_SIZE
        blocks, acl, old = 0, 0, b""
        if start < len(self._table):
            blocks, acl = self._field(inode, _BLOCKS), self._field(inode, _ACL)
            old = bytes(self._table[start + _AREA : start + ext4.INODE_SIZE])
        area = b""
        if node.xattrs or acl or any(old):
            placement = xattrs.place(xattrs.read_area(old) | node.xattrs, block_exists=bool(acl))
            area = placement.area
            if placement.block and acl:
                self._sink.replace(acl, placement.block)
            elif placement.block:
                self._reserve(1)
                acl = self._sink.count
                blocks += 1
                self._sink.append_replaceable(placement.block)
            if placement.block:
                self._attribute_blocks[inode] = placement.block
        kind = node.mode & ext4.TYPE_MASK
        size = node.size if kind == ext4.REGULAR else len(node.target) if kind == ext4.SYMLINK else 0
        record = ext4.pack_inode(node, links, blocks, size, acl, area)
        self._table[start : start + ext4.INODE_SIZE] = record

    def _write_content(self, inode: int, node: Node, kind: int) -> None:
        if kind == ext4.SYMLINK and len(node.target) > ext4.MAX_INLINE_TARGET:
            self.write(node.target)
            self.finish_file()
        elif kind == ext4.SYMLINK:
            self._set_block_field(inode, node.target)
        elif kind in {ext4.CHARACTER, ext4.BLOCK_DEVICE}:
            self._set_block_field(inode, ext4.device_field(node.device_major, node.device_minor))

    def _write_directories(self) -> list[int]:
        """Write every directory before those in it, in the order of inode numbers; returns their inodes."""
        written = []
        waiting = [(ext4.ROOT_INODE, ext4.ROOT_INODE)]
        while waiting:
            inode, parent = waiting.pop()
            written.append(inode)
            children = sorted((child, name) for name, child in self._children.pop(inode).items())
            entries = [(inode, b".", 2), (parent, b"..", 2)]
            entries += [(child, name, ext4.FILE_TYPES[self._kind(child)]) for child, name in children]
            data = ext4.directory_data(entries)
            start = self._sink.count
            self._reserve(len(data) // BLOCK)
            self._sink.append(data)
            self._set_extents(inode, start)
            _U32.pack_into(self._table, (inode - 1) * ext4.INODE_SIZE + _SIZE, len(data))
            waiting += [(child, inode) for child, _ in reversed(children) if self._is_directory(child)]
        return written

    def _set_extents(self, inode: int, start: int) -> None:
        """Describe the blocks from `start` to here as the content of a file."""
        count = self._sink.count - start
        if not count:
            return
        if count > ext4.MAX_FILE_BLOCKS:
            raise UnhashableLayer("a file is larger than 42 GiB, which the reference does not index correctly")
        field, index = ext4.extents(start, count)
        if index:
            self._reserve(1)
            self._sink.append(index)
        blocks = self._field(inode, _BLOCKS) + count + bool(index)
        place = (inode - 1) * ext4.INODE_SIZE + _BLOCKS
        _CONTENT.pack_into(self._table, place, blocks, ext4.HUGE_FILE | ext4.EXTENTS, field)

    def _set_block_field(self, inode: int, field: bytes) -> None:
        start = (inode - 1) * ext4.INODE_SIZE + _BLOCK_FIELD
        self._table[start : start + len(field)] = field

    def _lookup(self, path: Path) -> int:
        if path == self._known_parent[0]:
            return self._known_parent[1]
        current = ext4.ROOT_INODE
        for depth, name in enumerate(path, start=1):
            child = self._child(current, name)
            if child is None:
                missing = "file" if depth == len(path) else "path"
                raise UnhashableLayer(f"{_text(b'/'.join(path))}: {missing} not found")
            current = child
        return current

    def _child(self, directory: int, name: bytes) -> int | None:
        self._directory(directory)
        if len(name) > ext4.MAX_NAME:
            raise UnhashableLayer(f"{_text(name)}: invalid name: longer than 255 bytes")
        return self._children[directory].get(name)

    def _directory(self, inode: int) -> int:
        if inode not in self._children:
            raise UnhashableLayer("path not found: a component of it is no directory")
        return inode

    def _copy_of(self, inode: int) -> Node:
        start = (inode - 1) * ext4.INODE_SIZE
        node = ext4.unpack_inode(memoryview(self._table)[start : start + ext4.INODE_SIZE])
        node.mtime, node.atime, node.ctime = map(ext4.copied_time, (node.mtime, node.atime, node.ctime))
        return node

    def _reserve(self, blocks: int) -> None:
        if self._sink.count + blocks > ext4.MAX_BLOCKS:
            raise UnhashableLayer("disk exceeded maximum size")

    def _is_directory(self, inode: int) -> bool:
        return inode in self._children

    def _kind(self, inode: int) -> int:
        """The type among the bits of an inode's mode."""
        return self._table[(inode - 1) * ext4.INODE_SIZE + 1] << 8 & ext4.TYPE_MASK

    def _field(self, inode: int, place: int) -> int:
        return int(_U32.unpack_from(self._table, (inode - 1) * ext4.INODE_SIZE + place)[0])

    def _links(self, inode: int) -> int:
        return int(_U16.unpack_from(self._table, (inode - 1) * ext4.INODE_SIZE + _LINKS)[0])

    def _add_links(self, inode: int, change: int) -> None:
        _U16.pack_into(self._table, (inode - 1) * ext4.INODE_SIZE + _LINKS, self._links(inode) + change)


def _text(path: bytes) -> str:
    shown = path.decode(errors="replace")
    return shown if len(shown) <= ext4.MAX_NAME else shown[: ext4.MAX_NAME] + "…"
