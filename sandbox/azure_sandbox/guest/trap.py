"""Traps one system call: `python -m azure_sandbox.guest.trap SOCKET PROGRAM ARGUMENT…`.

This machine has no SEV-SNP device, but the kernel can hand a system call of one program to another to answer
(seccomp_unotify(2)). So what asks for a report in a container makes the very ioctl that it makes on Azure. This program
sets the trap, sends the kernel's end of it over SOCKET, and becomes PROGRAM, whose children inherit the trap.
"""

import ctypes
import os
import socket
import struct
import sys

SNP_GET_REPORT = 0xC0205300
"""include/uapi/linux/sev-guest.h; its argument is `struct snp_guest_request_ioctl`, 32 bytes."""

SECCOMP = 317  # the system call's number on x86-64, the only machine with SEV-SNP
SET_MODE_FILTER, NEW_LISTENER = 1, 8
ALLOW, USER_NOTIFICATION = 0x7FFF0000, 0x7FC00000
X86_64 = 0xC000003E
IOCTL = 16

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, ARCHITECTURE, SECOND_ARGUMENT = 0, 4, 24
"""Offsets in `struct seccomp_data`."""

PROGRAM = (
    (LOAD, 0, 0, ARCHITECTURE),
    (JUMP_IF_EQUAL, 0, 5, X86_64),
    (LOAD, 0, 0, NUMBER),
    (JUMP_IF_EQUAL, 0, 3, IOCTL),
    (LOAD, 0, 0, SECOND_ARGUMENT),
    (JUMP_IF_EQUAL, 0, 1, SNP_GET_REPORT),
    (RETURN, 0, 0, USER_NOTIFICATION),
    (RETURN, 0, 0, ALLOW),
)
"""Classic BPF: code, jump if true, jump if false, operand."""


def set_trap() -> int:
    """Set the trap for this thread and its children; return the descriptor that its calls arrive at.

    Raises:
        OSError: The kernel refuses.
    """
    words = b"".join(struct.pack("<HBBI", *instruction) for instruction in PROGRAM)
    code = ctypes.create_string_buffer(words, len(words))
    program = struct.pack("<H6xQ", len(PROGRAM), ctypes.addressof(code))
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, program)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(descriptor)


def main() -> None:
    """Set the trap and become the program."""
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        descriptor = set_trap()
        socket.send_fds(channel, [b"trap"], [descriptor])
        os.close(descriptor)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  there is no shell on purpose


if __name__ == "__main__":
    main()
