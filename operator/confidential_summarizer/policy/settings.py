"""How a policy is written: choices that the manifest does not make."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.contracts import CONTRACTS, DEFAULT_CONTRACT, Contract
from confidential_summarizer.policy.document import Fragment

_INCLUDES = frozenset({"containers", "fragments", "namespace", "external_processes"})


@dataclass(frozen=True)
class ServiceConstants:
    """What the service adds to every container group, by its current release; moves with the service, so it is data."""

    fragments: tuple[Fragment, ...]
    pause_command: tuple[str, ...]
    pause_env: tuple[str, ...]
    pause_layers: tuple[str, ...]
    sidecars: frozenset[str]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "ServiceConstants":
        """Read the data file's content.

        Raises:
            PolicyError: Something is missing or of another type.
        """
        try:
            pause = document["pause"]
            return cls(
                tuple(parse_fragment(fragment) for fragment in document["fragments"]),
                tuple(map(str, pause["command"])),
                tuple(map(str, pause["env"])),
                tuple(map(str, pause["layers"])),
                frozenset(map(str, document["sidecars"])),
            )
        except (KeyError, TypeError) as error:
            raise PolicyError(
                f"the file of service constants lacks or misspells {error}: compare with the shipped one"
            ) from None

    @classmethod
    def read(cls, path: Path) -> "ServiceConstants":
        """Read a user's own file, which replaces the shipped one as a whole.

        Raises:
            PolicyError: It cannot be read or is malformed.
        """
        try:
            return cls.parse(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError) as error:
            raise PolicyError(f"the file of service constants {path} cannot be read as JSON: {error}") from error


@cache
def shipped_constants() -> ServiceConstants:
    """The constants that this release was made with (`data/fragments.json`)."""
    text = resources.files("confidential_summarizer.policy").joinpath("data/fragments.json").read_text(encoding="utf-8")
    return ServiceConstants.parse(json.loads(text))


def parse_fragment(entry: Mapping[str, Any]) -> Fragment:
    """Read one acceptable fragment.

    Raises:
        PolicyError: A field is missing, of another type, or includes something unknown.
    """
    try:
        fragment = Fragment(entry["feed"], entry["issuer"], str(entry["minimum_svn"]), tuple(entry["includes"]))
    except (KeyError, TypeError) as error:
        raise PolicyError(
            f"a fragment lacks or misspells {error}: give feed, issuer, minimum_svn and includes"
        ) from None
    if not (isinstance(fragment.feed, str) and isinstance(fragment.issuer, str) and fragment.minimum_svn.isdigit()):
        raise PolicyError("a fragment's feed and issuer must be text, its minimum_svn digits")
    if not isinstance(entry["includes"], list | tuple):
        raise PolicyError("a fragment's includes must be a list")
    unknown = sorted(set(map(str, fragment.includes)) - _INCLUDES)
    if unknown:
        raise PolicyError(f"a fragment includes {', '.join(unknown)}: only {', '.join(sorted(_INCLUDES))} are known")
    return fragment


@dataclass(frozen=True)
class PolicySettings:
    """How to write a policy.

    Attributes:
        contract: The text's form.
        debug: Opens shells, stack dumps and guest logs.
        allow_stdio_access: Whether the containers' output can be read from outside. The default is that of `az
            confcom`.
        infrastructure_svn: Another minimum version of the service's own fragment.
        exclude_default_fragments: Leave the service's own fragment out.
        fragments: More acceptable fragments.
        approve_wildcards: Let a variable whose value is not known have any value, rather than refusing.
        omit_id: Leave the images' references out of the text.
        require_environment: Refuse a start that lacks one of the manifest's own variables, so that a host cannot leave
            one out.
        closed_patterns: Match variables of the platform as a whole in any guest, and of service links only those of
            the service `kubernetes`, for pods that switch the others off. `az confcom` does neither.
        drop_unknown_environment: Start containers without the variables that no rule covers, rather than refusing; the
            platform may add variables that the policy does not know.
        constants: The service's constants.
    """

    contract: Contract = CONTRACTS[DEFAULT_CONTRACT]
    debug: bool = False
    allow_stdio_access: bool = True
    infrastructure_svn: str | None = None
    exclude_default_fragments: bool = False
    fragments: tuple[Fragment, ...] = ()
    approve_wildcards: bool = False
    omit_id: bool = False
    require_environment: bool = False
    closed_patterns: bool = False
    drop_unknown_environment: bool = True
    constants: ServiceConstants = field(default_factory=shipped_constants)

    def __post_init__(self) -> None:
        if self.infrastructure_svn is not None and self.exclude_default_fragments:
            raise PolicyError(
                "a minimum version of the service's fragment makes no sense when that fragment is excluded"
            )
        if self.infrastructure_svn is not None and not self.infrastructure_svn.isdigit():
            raise PolicyError("the minimum version of the service's fragment must be digits")
