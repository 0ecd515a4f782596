"""The inside of a container group: a utility VM that enforces its policy and runs what was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure_sandbox.guest.api import GroupNetwork, Guest, ReportSource

__all__ = ["create_guest"]


def create_guest(
    group: Mapping[str, Any], directory: Path, network: "GroupNetwork", attester: "ReportSource", /
) -> "Guest":
    """Return a guest that has not started; see `azure_sandbox.guest.api.GuestFactory`."""
    # Imported late: the small programs that run inside are modules of this package too, and need none of it.
    from azure_sandbox.guest.group import GroupGuest

    return GroupGuest(group, directory, network, attester)
