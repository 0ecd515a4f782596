"""Whose a connection to the loopback is: the kernel knows, whatever the other end says or holds.

The link of `csum open` stands in the browser's command line while it starts, which every user of a machine may read.
"""

import asyncio
import os
import socket
import struct
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""Linux lists the machine's connections there, with the user of each (proc(5)); in the second those of programs that
write an address of IPv4 as one of IPv6."""
_ESTABLISHED = "01"
"""What is being closed has no user any more, and is listed as root's."""


def is_ours(transport: asyncio.BaseTransport | None) -> bool:
    """Tell whether a connection from this machine is of this process's user, or of root, who may do all in any case.

    True where the kernel has no such list.
    """
    if not TABLES[0].exists():
        return True
    if transport is None:
        return False
    far, near = (_end(*transport.get_extra_info(name)[:2]) for name in ("peername", "sockname"))
    for line in (line for table in TABLES if table.exists() for line in table.read_text("ascii").splitlines()[1:]):
        _, local, remote, state, _, _, _, user, *_ = line.split()
        if local.endswith(far) and remote.endswith(near) and state == _ESTABLISHED:
            return int(user) in (os.getuid(), 0)
    return False


def _end(host: str, port: int) -> str:
    """Return an address of IPv4 and a port as the list has them: the address in the machine's order of bytes."""
    return f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
