"""What a confidential-computing enforcement policy says, as values.

Format: the policy objects of the utility VM's enforcement framework, `framework_version` "0.2.3", as the Azure tooling
writes them.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Strategy = Literal["string", "re2"]
IdentityStrategy = Literal["any", "id", "name", "re2"]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """The text of a policy: its very bytes are the container group's identity."""

    text: str

    @property
    def base64(self) -> str:
        """The form in which the policy is handed to Azure."""
        return base64.b64encode(self.text.encode()).decode()

    @property
    def host_data(self) -> str:
        """SHA-256 of the text, 64 hex digits: the `HOST_DATA` of the group's attestation report."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class EnvRule:
    """A variable that a container may have; `pattern` is `NAME=value`, literally or as an RE2 expression."""

    pattern: str
    strategy: Strategy = "string"
    required: bool = False

    @property
    def name(self) -> str:
        """The text before the first equals sign."""
        return self.pattern.partition("=")[0]


@dataclass(frozen=True)
class MountRule:
    """One mount that a container may have; `source` is matched as an expression below the sandbox's folder."""

    destination: str
    source: str
    options: tuple[str, ...]
    type: str = "bind"


@dataclass(frozen=True)
class ExecProcess:
    """A command that may be started in a running container, and the signals it may be sent."""

    command: tuple[str, ...]
    signals: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """The five capability sets of a container's process."""

    ambient: tuple[str, ...]
    bounding: tuple[str, ...]
    effective: tuple[str, ...]
    inheritable: tuple[str, ...]
    permitted: tuple[str, ...]


@dataclass(frozen=True)
class IdentityRule:
    """Which user or group is allowed; the pattern counts unless the strategy is `any`."""

    pattern: str = ""
    strategy: IdentityStrategy = "any"


@dataclass(frozen=True)
class UserRule:
    """Whom a container may run as."""

    user: IdentityRule = IdentityRule()
    groups: tuple[IdentityRule, ...] = (IdentityRule(),)
    umask: str = "0022"


@dataclass(frozen=True)
class ContainerRules:
    """One container that may start; `layers` are root hashes, base first. An id of None is left out of the text."""

    name: str
    id: str | None
    layers: tuple[str, ...]
    command: tuple[str, ...] | None
    env_rules: tuple[EnvRule, ...]
    mounts: tuple[MountRule, ...]
    capabilities: Capabilities | None
    working_dir: str = "/"
    user: UserRule = UserRule()
    signals: tuple[int | str, ...] = ()
    exec_processes: tuple[ExecProcess, ...] = ()
    allow_elevated: bool = False
    allow_stdio_access: bool = True
    no_new_privileges: bool = False
    seccomp_profile_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object as it stands in a policy, for `json.dumps(…, default=vars)`: what it is made of stays as it is."""
        user = {
            "group_idnames": [dict(vars(group)) for group in self.user.groups],
            "umask": self.user.umask,
            "user_idname": dict(vars(self.user.user)),
        }
        fields = {**vars(self), "user": user}
        if self.id is None:
            del fields["id"]
        if not self.name:
            del fields["name"]
        return fields


@dataclass(frozen=True)
class Fragment:
    """A signed piece of policy that may be loaded later: its signer, its place, its least version, its uses."""

    feed: str
    issuer: str
    minimum_svn: str
    includes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object as it stands in a policy."""
        return {**vars(self), "includes": list(self.includes)}


@dataclass(frozen=True)
class PolicyFlags:
    """What the policy allows for the group as a whole; a flag of None is not part of the policy's contract."""

    allow_properties_access: bool = True
    allow_dump_stacks: bool = False
    allow_runtime_logging: bool = False
    allow_environment_variable_dropping: bool = True
    allow_unencrypted_scratch: bool = False
    allow_capability_dropping: bool = True
    allow_host_network: bool | None = None


@dataclass(frozen=True)
class PolicyDocument:
    """A whole policy; `rules` are the enforcement points that it hands to the framework."""

    api_version: str
    framework_version: str
    fragments: tuple[Fragment, ...]
    containers: tuple[ContainerRules, ...]
    flags: PolicyFlags
    rules: tuple[str, ...]
    package: str = "policy"

    @property
    def allows_debugging(self) -> bool:
        """Whether the policy opens anything that only the Debug profile should: dumps, guest logs, shells."""
        shells = any(
            process.command[:1] in {("/bin/sh",), ("/bin/bash",)} and len(process.command) == 1
            for container in self.containers
            for process in container.exec_processes
        )
        return self.flags.allow_dump_stacks or self.flags.allow_runtime_logging or shells
