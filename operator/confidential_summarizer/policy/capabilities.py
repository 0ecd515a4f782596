"""Linux capabilities of a container, as the policy spells them out."""

from collections.abc import Collection, Iterable

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.document import Capabilities

_ORDINARY = """
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
AUDIT_WRITE
"""
_ALL = """
AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER
FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE
NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE
SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
"""

UNPRIVILEGED = tuple(f"CAP_{name}" for name in _ORDINARY.split())
"""What an ordinary container gets, in the order of the service's own pause container."""

PRIVILEGED = tuple(f"CAP_{name}" for name in _ALL.split())
"""What a privileged container gets: every capability that the utility VM's kernel knows."""

PAUSE = Capabilities(ambient=(), bounding=UNPRIVILEGED, effective=UNPRIVILEGED, inheritable=(), permitted=UNPRIVILEGED)


def capabilities(*, privileged: bool, add: Iterable[str] = (), drop: Iterable[str] = ()) -> Capabilities:
    """The five sets of a container, sorted.

    Kubernetes leaves the prefix `CAP_` out and knows `ALL`; both are understood, where `az confcom` takes them for
    unknown names.

    Raises:
        PolicyError: A name is no capability.
    """
    given = set(PRIVILEGED if privileged else UNPRIVILEGED)
    inheritable = given if privileged else set[str]()
    everything_added, added = _names(add)
    everything_dropped, dropped = _names(drop)
    # As containerd: first ALL, and of two the one that drops; then each name, of which dropping wins.
    if everything_added:
        given = set(PRIVILEGED)
    if everything_dropped:
        given, inheritable = set(), set()
    filled = (given | added) - dropped
    inherited = (inheritable | added if privileged else inheritable) - dropped
    kept = tuple(sorted(filled))
    return Capabilities(ambient=(), bounding=kept, effective=kept, inheritable=tuple(sorted(inherited)), permitted=kept)


def normalise(name: str) -> str:
    """The kernel's name of a capability, whichever way it is written.

    Raises:
        PolicyError: It is none.
    """
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in PRIVILEGED:
        raise PolicyError(f"securityContext: {name!r} is no Linux capability: see capabilities(7) for the names")
    return full


def all_but(kept: Collection[str]) -> tuple[str, ...]:
    """What an ordinary container has to drop, by name, to be left with these."""
    return tuple(sorted(set(UNPRIVILEGED) - set(kept)))


def _names(given: Iterable[str]) -> tuple[bool, set[str]]:
    """Whether `ALL` is among them, and the others."""
    names = list(given)
    others = [name for name in names if name.upper() not in {"ALL", "CAP_ALL"}]
    return len(others) < len(names), {normalise(name) for name in others}
