"""The forms that a policy's text has had, one row each: what the Azure tooling writes differs by contract, to the byte.

A policy that asks for a newer framework than the utility VM has is denied as a whole, so the newest is never a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_RULES = (
    "mount_device",
    "unmount_device",
    "mount_overlay",
    "unmount_overlay",
    "create_container",
    "exec_in_container",
    "exec_external",
    "shutdown_container",
    "signal_container_process",
    "plan9_mount",
    "plan9_unmount",
    "get_properties",
    "dump_stacks",
    "runtime_logging",
    "load_fragment",
    "scratch_mount",
    "scratch_unmount",
)

_KILL_AND_TERMINATE = (9, 15)
"""Signals that every container may be sent since contract 0.11, so that it can be stopped."""


@dataclass(frozen=True)
class Contract:
    """One form of the text.

    Attributes:
        name: What `spec.policy.contract` and `--contract` call it.
        tooling: Which release of `az confcom` writes it.
        api_version: Version of the enforcement points that the policy answers for.
        framework_version: Version of the rules that it was written for.
        rules: The enforcement points that it hands to the framework, in the text's order.
        stop_signals: Signals that every container may be sent, besides its image's own.
        flags: Flags of the group that the text names beyond those of every contract, with their values.
        sidecar_command: What a sidecar of the service has as its command where the template gives none.
        repeats_exec_processes: Whether a command that two probes share is listed twice.
    """

    name: str
    tooling: str
    api_version: str
    framework_version: str
    rules: tuple[str, ...]
    stop_signals: tuple[int, ...] = _KILL_AND_TERMINATE
    flags: tuple[str, ...] = ()
    sidecar_command: tuple[str, ...] | None = None
    repeats_exec_processes: bool = False


CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for contract in (
        Contract(
            "0.10", "1.3.1", "0.10.0", "0.2.3", _RULES, stop_signals=(), sidecar_command=(), repeats_exec_processes=True
        ),
        Contract("0.11", "2.3", "0.11.0", "0.2.3", (*_RULES, "rw_mount_device")),
        Contract(
            "0.12",
            "2.3 with --prerelease-policy-api",
            "0.12.0",
            "0.5.0",
            (*_RULES, "rw_mount_device", "host_network", "load_transparency_trust_list"),
            flags=("allow_host_network",),
        ),
    )
}

DEFAULT_CONTRACT = "0.11"

KNOWN_RULES = frozenset(rule for contract in CONTRACTS.values() for rule in contract.rules) | {"rw_unmount_device"}
"""Every enforcement point that a policy may hand to the framework."""


def contract_of(api_version: str) -> Contract | None:
    """The contract that a policy with this `api_version` was written by; None for one that is not known."""
    return next((contract for contract in CONTRACTS.values() if contract.api_version == api_version), None)
