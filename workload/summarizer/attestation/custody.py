"""Who may have reports made: one small process that knows no text, and never the one that reads it.

Whoever can have a report made over bytes of their choice can have the sealed image's key released to themselves: the
report then vouches for a wrapping key of theirs. So the container starts as root for a moment. It hands the device to a
process that makes nothing but evidence (a nonce and the key of the page's TLS, in JSON), closes the device to everybody
else, and gives root up before it loads a model or opens a port.
"""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from summarizer.attestation.device import KERNELS, REPORT_BYTES, REPORT_DATA, Device
from summarizer.confinement import close_memory
from summarizer.errors import ConfigurationError, EvidenceError
from summarizer.evidence import is_runtime_data

# Users that own nothing: the one that the summarizer runs as, and the keeper of the device.
_SUMMARIZER: Final = 1000
_KEEPER: Final = 1001
_MAX_MESSAGE: Final = 4096
# Seconds for one report: the processor takes milliseconds, under load a second.
_PATIENCE: Final = 30.0


class Keeper:
    """The way to the process that keeps the device."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def evidence_of(self, tls_spki: str) -> None:
        """Say, once, of which TLS key all reports are to be."""
        self._channel.send(tls_spki.encode())

    def report(self, data: bytes) -> bytes:
        """Return a report over `evidence.runtime_data` of a nonce and the key; one thread at a time.

        Raises:
            EvidenceError: There is none to be had.
        """
        try:
            self._channel.send(data)
            answer = self._channel.recv(_MAX_MESSAGE)
            # One that was given up before it came.
            while len(answer) == REPORT_BYTES and answer[REPORT_DATA] != hashlib.sha256(data).digest():
                answer = self._channel.recv(_MAX_MESSAGE)
        except OSError as error:
            raise EvidenceError(f"the keeper of the secure processor does not answer: {error}") from None
        if len(answer) != REPORT_BYTES:
            raise EvidenceError(answer.decode(errors="replace") or "the keeper of the secure processor is gone")
        return answer


def take_custody() -> Keeper | None:
    """Split the process in two; return in the one that shall read text, without any right. None outside of a guest.

    Call it before any thread starts.

    Raises:
        ConfigurationError: This process is not root, or the device stays open to it.
    """
    try:
        device = Device.open()
    except OSError as error:
        raise ConfigurationError(f"the secure processor's device cannot be opened: {error.strerror}") from None
    if device is None:
        return None
    if os.geteuid() != 0:
        raise ConfigurationError(
            "start the container as root, which it gives up: otherwise whatever runs in it could have the key released"
        )
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        for kernel in KERNELS:
            if kernel.path.exists():
                kernel.path.chmod(0o600)
        if os.fork() == 0:
            near.close()
            _keep(device, far)
        far.close()
        os.close(device.descriptor)
        _become(_SUMMARIZER)
    except OSError as error:
        raise ConfigurationError(
            f"the container cannot give up root ({error.strerror}): it needs the capabilities SETUID and SETGID, and a "
            "device that is root's"
        ) from None
    _check_closed()
    near.settimeout(_PATIENCE)
    return Keeper(near)


def _keep(device: Device, channel: socket.socket) -> None:
    """Make evidence until the other process is gone; never returns."""
    try:
        _become(_KEEPER)
        tls_spki = channel.recv(_MAX_MESSAGE).decode()
        while data := channel.recv(_MAX_MESSAGE):
            channel.send(evidence_report(device, data, tls_spki))
    finally:
        os._exit(0)


def evidence_report(device: Device, data: bytes, tls_spki: str) -> bytes:
    """Return a report over runtime data of a nonce and the TLS key, or the sentence why there is none."""
    if not is_runtime_data(data, tls_spki):
        return b"the keeper of the secure processor makes evidence only: of a nonce and this page's TLS key"
    try:
        return device.report(hashlib.sha256(data).digest())
    except EvidenceError as error:
        return str(error).encode()


def _become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    close_memory()


def _check_closed() -> None:
    for kernel in KERNELS:
        if _opens(kernel.path):
            raise ConfigurationError(f"{kernel.path} stays open to the process that reads the text")


def _opens(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
